using System.Globalization;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Restoring;

/// <content>Tasks whose maker may not choose all of their ids.</content>
/// <remarks>
/// clone3(2) asks for CAP_CHECKPOINT_RESTORE in the owner of each pid namespace in which an id is to be chosen, and who is in a user
/// namespace has no rights above it. There the kernel gives the next free id (ns_last_pid), which may be a stranger's by then where the
/// namespace is not the tree's alone: so it is looked at, and tried again.
/// </remarks>
internal sealed partial class GrowingTree
{
    private const int Attempts = 200;
    private const string LastPid = "/proc/sys/kernel/ns_last_pid";

    private readonly Dictionary<int, Tracee> unchosen = [];
    private string? lastOfHost;
    private bool hasMovedCursors;

    /// <summary>Lets pid namespaces go on as they would have, where the making of tasks has changed what they give next.</summary>
    public void SetCursors()
    {
        if (!hasMovedCursors)
        {
            return;
        }

        ReturnCursor();
        if (pidNamespace is not null)
        {
            PidNamespace.SetLastPid(context, First, context.Tasks.SelectMany(task => task.Threads).Max(thread => thread.Tid));
        }

        context.NestedPids.ForEach(pids => PidNamespace.SetLastPid(context, pids));
    }

    private void CloneUnchosen(Remote remote, Birth child, Remote reaper)
    {
        int[] levels = [child.Id, .. child.Nested.Select(id => (int)id)];
        for (int attempt = 1; ; attempt++)
        {
            for (int level = 0; level < levels.Length - child.Choosable; level++)
            {
                MoveCursor(child.Pids, level, levels[level] - 1);
            }

            int[] chosen = [.. levels.Reverse().Take(child.Choosable)];
            RemoteBatch batch = remote.Batch;
            RemoteBuffer setTid = batch.Data(System.Runtime.InteropServices.MemoryMarshal.AsBytes<int>(chosen.Length == 0 ? [0] : chosen));
            CloneArgs arguments = new()
            {
                flags = (ulong)child.Flags,
                exit_signal = (ulong)child.ExitSignal,
                set_tid = chosen.Length == 0 ? 0 : setTid.Address.Value,
                set_tid_size = (ulong)chosen.Length,
            };
            Slot made = batch.Call(
                Sysno.clone3, batch.Data(arguments), System.Runtime.InteropServices.Marshal.SizeOf<CloneArgs>());
            batch.Run("forking");
            ReturnCursor();
            Tracee tracee = Tracee.AdoptClone(OuterId(remote, made.Int32));
            int[] actual = ProcStatus.Read(tracee.Tid).NSpid;
            bool isThread = (child.Flags & CloneFlags.CLONE_THREAD) != 0;
            if (actual.Length >= levels.Length && actual.AsSpan(actual.Length - levels.Length).SequenceEqual(levels))
            {
                unchosen.Add(child.Id, tracee);
                return;
            }

            if (isThread && (child.Nested.Count == 0 || actual[^1] == levels[^1]))
            {
                // What is outside knows no thread by its id.
                context.Log.LogWarning("thread {Tid}: outside of its user namespace it has the id {Actual} now", child.Id, tracee.Tid);
                unchosen.Add(child.Id, tracee);
                return;
            }

            tracees.Add(tracee);
            if (isThread)
            {
                throw Refused(child.Id, Errno.EEXIST);
            }

            End(tracee);

            // What is a sibling of its maker is in the same pid namespace as that, and has the same id for the parent.
            new StandIn(reaper, reaper, made.Int32).Reap();
            if (attempt == Attempts)
            {
                throw Refused(child.Id, Errno.EEXIST);
            }
        }
    }

    // At once: a Firn that is killed leaves nothing of it to others.
    private void ReturnCursor()
    {
        if (lastOfHost is not null)
        {
            ProcValue.Write(LastPid, lastOfHost.Trim()).OrThrow($"write({LastPid})");
        }
    }

    // So that a process for a moment takes no id that a task is still to have.
    private void MoveCursorsAbove(RestoredTask creator)
    {
        MoveCursor(
            null,
            0,
            (int)context.Tasks.Max(task => Math.Max(Math.Max(task.Entry.Sid, task.Entry.Pgid), task.Entry.Threads.Max())));
        for (NestedPids? at = creator.Pids; at is not null; at = at.Parent)
        {
            PidNamespace.SetLastPid(context, at);
        }
    }

    private static void End(Tracee tracee)
    {
        Sys.Kill(tracee.Tid, Signal.SIGKILL).OrThrow($"kill({tracee.Tid})");
        try
        {
            while (true)
            {
                tracee.WaitForStop();
                tracee.Resume();
            }
        }
        catch (TraceeLostException)
        {
            tracee.Forget();
        }
    }

    // Of one of the pid namespaces that a task is to be in: 0 is that of the tree's root.
    private void MoveCursor(NestedPids? there, int level, int last)
    {
        hasMovedCursors = true;
        if (level > 0)
        {
            NestedPids at = there!;
            while (at.Depth > level)
            {
                at = at.Parent!;
            }

            PidNamespace.SetLastPid(context, at.Init.Leader.Remote, last);
        }
        else if (pidNamespace is not null)
        {
            PidNamespace.SetLastPid(context, First, last);
        }
        else
        {
            lastOfHost ??= ProcValue.ReadText(LastPid);
            ProcValue.Write(LastPid, last.ToString(CultureInfo.InvariantCulture)).OrThrow($"write({LastPid}, {last})");
        }
    }
}
