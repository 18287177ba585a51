using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>
/// What a process is to its surroundings: a reaper of orphans, an audited login, a likely victim of memory shortage, the leader of a
/// session that has a nice value of its own (sched(7), autogroup).
/// </summary>
/// <remarks>prctl(2), PR_SET_CHILD_SUBREAPER; proc_pid_loginuid(5), proc_pid_oom_score_adj(5).</remarks>
internal sealed class ProcessAttributes : TaskKind
{
    private const uint NoLogin = uint.MaxValue;

    // ---- dump

    /// <inheritdoc/>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        TaskCoreEntry core = task.TaskCore();
        if (ProcValue.ReadNumber($"/proc/{task.Pid}/loginuid") is { } login)
        {
            core.Loginuid = (uint)login;
        }

        core.OomScoreAdj = (int)(ProcValue.ReadNumber($"/proc/{task.Pid}/oom_score_adj") ?? 0);
        if (task.Stat.Session == task.ProcessId && ReadAutogroup(task.Pid) is { } nice and not 0)
        {
            core.AutogroupNice = nice;
        }

        RemoteBuffer reaper = batch.Allocate(sizeof(int));
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_CHILD_SUBREAPER, reaper);
        batch.Then(() => core.ChildSubreaper = reaper.As<int>()[0] != 0);
    }

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>
    /// A process has its parent's login and score from birth, and a child may be born before or after its parent is done with this: so
    /// either all processes of the tree set theirs, or none has to.
    /// </remarks>
    public override void RestoreTask(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (task.Core.Tc.ChildSubreaper)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        }

        if (task.Core.Tc is { HasAutogroupNice: true } core && task.Entry.Sid == task.Entry.Pid)
        {
            SysResult written = ProcValue.Write($"/proc/{task.OuterPid}/autogroup", core.AutogroupNice);
            if (written.IsError)
            {
                context.Log.LogWarning(
                    "pid {Pid}: the nice value {Nice} of its session's autogroup was refused: {Errno}",
                    task.Pid,
                    core.AutogroupNice,
                    written.Errno);
            }
        }

        RestoreScore(context, task);
        RestoreLogin(context, task, batch);
    }

    // "/autogroup-138 nice 0".
    private static int? ReadAutogroup(int pid)
        => ProcValue.ReadText($"/proc/{pid}/autogroup") is { } text
            && int.TryParse(
                text.AsSpan(text.LastIndexOf(' ') + 1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int nice)
                ? nice
                : null;

    private static void RestoreScore(RestoreContext context, RestoredTask task)
    {
        long own = ProcValue.ReadNumber("/proc/self/oom_score_adj") ?? 0;
        if (context.Tasks.TrueForAll(other => other.IsZombie || other.Core.Tc.OomScoreAdj == own))
        {
            return;
        }

        string path = $"/proc/{task.Leader.Remote.Tracee.Tid}/oom_score_adj";
        SysResult written = ProcValue.Write(path, task.Core.Tc.OomScoreAdj);
        if (written.IsError)
        {
            context.Log.LogWarning(
                "pid {Pid}: oom_score_adj {Score} was refused: {Errno}; lowering it takes CAP_SYS_RESOURCE",
                task.Pid,
                task.Core.Tc.OomScoreAdj,
                written.Errno);
        }
    }

    // The file takes a write from the process itself alone. It may be set once, and again with CAP_AUDIT_CONTROL.
    private static void RestoreLogin(RestoreContext context, RestoredTask task, RemoteBatch batch)
    {
        if (ProcValue.ReadNumber("/proc/self/loginuid") is not { } own
            || context.Tasks.TrueForAll(other => Login(other) is not { } uid || uid == own))
        {
            return;
        }

        if (Login(task) is { } login)
        {
            RemoteBuffer text = batch.Text(login.ToString(CultureInfo.InvariantCulture));
            Slot fd = batch.Try(
                Sysno.openat, At.AT_FDCWD, batch.Text("/proc/self/loginuid"), (int)(OpenFlags.O_WRONLY | OpenFlags.O_CLOEXEC));
            Slot written = batch.Try(Sysno.write, fd, text, text.Bytes.Length - 1);
            batch.Try(Sysno.close, fd);
            batch.Then(() =>
            {
                if (written.Result.IsError)
                {
                    context.Log.LogWarning(
                        "pid {Pid}: login uid {Login} was refused: {Errno}; it takes CAP_AUDIT_CONTROL and /proc",
                        task.Pid,
                        (int)login,
                        written.Result.Errno);
                }
            });
        }
    }

    private static uint? Login(RestoredTask task) => task.IsZombie ? null : task.Core.Tc.HasLoginuid ? task.Core.Tc.Loginuid : NoLogin;
}
