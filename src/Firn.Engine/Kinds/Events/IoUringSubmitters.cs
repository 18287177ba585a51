using Firn.Engine.Tree;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>Threads that alone may submit to a ring (IORING_SETUP_SINGLE_ISSUER): a ring is theirs once they have enabled it.</summary>
internal sealed class IoUringSubmitters : TaskKind
{
    // ---- restore

    /// <inheritdoc/>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
        => IoUringFile.RestoreThread(context, thread);
}
