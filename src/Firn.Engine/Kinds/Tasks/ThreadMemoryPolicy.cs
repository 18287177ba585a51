using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>From which nodes the memory comes that a thread touches first: set_mempolicy(2). See <see cref="MemoryPolicies"/>.</summary>
internal sealed class ThreadMemoryPolicy : TaskKind
{
    // ---- dump

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
        => MemoryPolicies.DumpThread(context, thread, batch);

    // ---- restore

    /// <inheritdoc/>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
        => MemoryPolicies.RestoreThread(context, thread, batch);
}
