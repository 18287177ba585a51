using Firn.Linux;
using Firn.Linux.Procfs;

namespace Firn.Engine;

/// <summary>What Firn must be allowed to do, asked before anything is begun: otherwise it would fail somewhere in the midst, by a bare EPERM.</summary>
internal static class Privilege
{
    private const int CAP_SYS_ADMIN = 21;
    private const int CAP_CHECKPOINT_RESTORE = 40;
    private const ulong Either = (1UL << CAP_SYS_ADMIN) | (1UL << CAP_CHECKPOINT_RESTORE);

    /// <summary>Whether this process may read what other tasks have mapped, and give tasks their pids.</summary>
    public static bool IsThere => (ProcStatus.Read(Sys.GetPid()).CapEff & Either) != 0;

    /// <exception cref="CheckpointException">It may not.</exception>
    public static void Demand(string phase)
    {
        if (!IsThere)
        {
            throw new CheckpointException("firn is not allowed to look into other tasks: it has neither CAP_CHECKPOINT_RESTORE nor CAP_SYS_ADMIN; run it as root")
            {
                Phase = phase,
            };
        }
    }
}
