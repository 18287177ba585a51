using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>The resource limits of a process, all 16.</summary>
/// <remarks>
/// Asked and set by the process itself: from outside, that takes CAP_SYS_RESOURCE for another user's process. Set late, so that no limit
/// hinders the restore; and while there still are all capabilities. prlimit(2).
/// </remarks>
internal sealed class Limits : TaskKind
{
    private const int Count = 16;
    private const int Size = 16;
    private static readonly string[] Names =
    [
        "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS", "NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS",
        "SIGPENDING", "MSGQUEUE", "NICE", "RTPRIO", "RTTIME",
    ];

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        RemoteBuffer limits = batch.Allocate(Count * Size);
        for (int i = 0; i < Count; i++)
        {
            batch.Call(Sysno.prlimit64, 0, i, 0, limits.Address + (ulong)(i * Size));
        }

        batch.Then(() =>
        {
            TaskRlimitsEntry message = task.TaskCore().Rlimits = new TaskRlimitsEntry();
            Span<ulong> words = limits.As<ulong>();
            for (int i = 0; i < Count; i++)
            {
                message.Rlimits.Add(new RlimitEntry { Cur = words[2 * i], Max = words[(2 * i) + 1] });
            }
        });
    }

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>A hard limit above the present one may be refused; then both limits are raised as far as that one allows.</remarks>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (!thread.IsLeader() || thread.Core.Tc.Rlimits is not { } limits)
        {
            return;
        }

        RemoteBuffer present = batch.Allocate(Count * Size);
        for (int i = 0; i < Math.Min(Count, limits.Rlimits.Count); i++)
        {
            int resource = i;
            RlimitEntry wanted = limits.Rlimits[i];
            batch.Call(Sysno.prlimit64, 0, i, 0, present.Address + (ulong)(i * Size));
            Slot set = batch.Try(Sysno.prlimit64, 0, i, Limit(batch, wanted.Cur, wanted.Max), 0);
            batch.Then(() =>
            {
                if (set.Result.IsError)
                {
                    ulong hard = present.As<ulong>()[(2 * resource) + 1];
                    context.Log.LogWarning(
                        "pid {Pid}: RLIMIT_{Name} {Soft}, hard {Hard}: the hard limit stays {Present}: {Errno}; raising it takes "
                            + "CAP_SYS_RESOURCE",
                        thread.Task.Pid, Names[resource], wanted.Cur, wanted.Max, hard, set.Result.Errno);
                    batch.Try(Sysno.prlimit64, 0, resource, Limit(batch, Math.Min(wanted.Cur, hard), Math.Min(wanted.Max, hard)), 0);
                    batch.Run("limits");
                }
            });
        }
    }

    private static RemoteBuffer Limit(RemoteBatch batch, ulong soft, ulong hard)
    {
        RemoteBuffer limit = batch.Allocate(Size);
        limit.As<ulong>()[0] = soft;
        limit.As<ulong>()[1] = hard;
        return limit;
    }
}
