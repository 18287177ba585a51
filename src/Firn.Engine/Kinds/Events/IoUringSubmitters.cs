using Firn.Engine.Tree;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>
/// Threads that alone may submit to a ring (IORING_SETUP_SINGLE_ISSUER), which is theirs once they have enabled it; and what they have
/// registered for themselves.
/// </summary>
internal sealed class IoUringSubmitters : TaskKind
{
    // ---- restore

    /// <inheritdoc/>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
        => IoUringFile.RestoreThread(context, thread);
}
