using System.Numerics;
using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Google.Protobuf.Collections;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Who a thread is and what it may do: user and group ids, capabilities, secure bits, no-new-privileges.</summary>
/// <remarks>
/// Each thread has its own, and sets them by itself. credentials(7), capabilities(7). The order of the restore is bound: ids while the
/// secure bits keep the capabilities, the inheritable set while the bounding set still allows it, ambient ones before the last set, and the
/// right to set secure bits given up last.
/// </remarks>
internal sealed class Credentials : TaskKind
{
    private const int CapabilitySetpcap = 8;
    private const int AmbientRaise = 2;
    private const int AmbientClearAll = 4;
    private const uint NoSetuidFixup = 1 << 2;

    // ---- dump

    /// <inheritdoc/>
    /// <remarks>Reads the credentials, too: other kinds want to know the seccomp mode that the same file shows.</remarks>
    public override void Examine(DumpContext context, DumpedTask task)
    {
        if (task.IsZombie)
        {
            return;
        }

        foreach (DumpedThread thread in task.Threads)
        {
            ProcStatus status = ProcStatus.Read(task.Pid, thread.Tid);
            ThreadCoreEntry core = thread.ThreadCore();
            core.Creds = ToMessage(status);
            if (status.Seccomp != 0)
            {
                core.SeccompMode = (SeccompMode)status.Seccomp;
            }
        }

        string? profile = ProcValue.ReadText($"/proc/{task.Pid}/attr/current");
        if (profile is not null && profile != ProcValue.ReadText("/proc/self/attr/current"))
        {
            context.Problems.Add(
                "lsm-profile", task.Pid, $"security profile {profile}", "profiles of AppArmor and SELinux can't be saved yet",
                "run firn under the same profile, or the program without one");
        }
    }

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        Slot secureBits = batch.Call(Sysno.prctl, (int)PrctlOption.PR_GET_SECUREBITS);
        batch.Then(() => thread.ThreadCore().Creds.Secbits = (uint)secureBits.Int32);
    }

    // ---- restore

    /// <inheritdoc/>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        if (thread.Core.ThreadCore?.Creds is not { } saved)
        {
            return;
        }

        ProcStatus status = ProcStatus.Read(thread.Remote.Tracee.Tid);
        CredsEntry present = ToMessage(status);
        context.Images.Ids?.MapCredentials(present);
        present.Secbits = OwnSecureBits();
        bool wantsNoNewPrivileges = saved.NoNewPrivs != 0;
        if (thread.Task.GoesToUserLast)
        {
            // As the root's user namespace has them: some may have no place in the other's maps.
            if (thread.Task.BirthUser is null)
            {
                QueueIds(saved, batch);
            }

            QueueJoin(thread.Task, batch);
            if (thread.Task.BirthUser is not null)
            {
                QueueOtherIds(context, thread.Task.User!, saved, present, batch);
            }

            Add(present.CapPrm, present.CapBnd, AllCapabilities());
            RestoreCapabilities(context, thread, saved, present, batch);
        }
        else if (thread.Task.User is not null)
        {
            QueueOtherIds(context, thread.Task.User, saved, present, batch);
            RestoreCapabilities(context, thread, saved, present, batch);
        }
        else if (!IsSame(saved, present))
        {
            QueueIds(saved, batch);
            RestoreCapabilities(context, thread, saved, present, batch);
        }

        if (wantsNoNewPrivileges && !status.NoNewPrivs)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        }
        else if (status.NoNewPrivs && !wantsNoNewPrivileges)
        {
            context.Log.LogWarning("thread {Tid}: firn itself runs without new privileges, and so does it now", thread.Tid);
        }
    }

    /// <summary>The message, without the secure bits, which /proc doesn't show.</summary>
    internal static CredsEntry ToMessage(ProcStatus status)
    {
        var creds = new CredsEntry
        {
            Uid = status.Uid[0],
            Euid = status.Uid[1],
            Suid = status.Uid[2],
            Fsuid = status.Uid[3],
            Gid = status.Gid[0],
            Egid = status.Gid[1],
            Sgid = status.Gid[2],
            Fsgid = status.Gid[3],
            Secbits = 0,
        };
        creds.Groups.AddRange(status.Groups);
        Add(creds.CapInh, status.CapInh);
        Add(creds.CapPrm, status.CapPrm);
        Add(creds.CapEff, status.CapEff);
        Add(creds.CapBnd, status.CapBnd);
        Add(creds.CapAmb, status.CapAmb);
        if (status.NoNewPrivs)
        {
            creds.NoNewPrivs = 1;
        }

        return creds;
    }

    /// <summary>Queues the ids of a thread, so that it keeps its capabilities.</summary>
    public static void QueueIds(CredsEntry saved, RemoteBatch batch)
    {
        QueueKeeping(batch);
        RemoteBuffer groups = batch.Data(MemoryMarshal.AsBytes<uint>([.. saved.Groups]));
        batch.Call(Sysno.setgroups, saved.Groups.Count, groups);
        QueueUserAndGroup(saved, batch);
    }

    /// <summary>Queues that a task goes into its user namespace, where it has all capabilities.</summary>
    public static void QueueJoin(RestoredTask task, RemoteBatch batch)
    {
        int entrance = task.User!.Entrance!.Number;
        batch.Call(Sysno.setns, entrance, (int)CloneFlags.CLONE_NEWUSER);
        batch.Call(Sysno.close, entrance);
    }

    private static void QueueKeeping(RemoteBatch batch)
        => batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_SECUREBITS, NoSetuidFixup, 0, 0, 0);

    private static void QueueUserAndGroup(CredsEntry saved, RemoteBatch batch)
    {
        batch.Call(Sysno.setresgid, saved.Gid, saved.Egid, saved.Sgid);
        batch.Call(Sysno.setfsgid, saved.Fsgid);
        batch.Call(Sysno.setresuid, saved.Uid, saved.Euid, saved.Suid);
        batch.Call(Sysno.setfsuid, saved.Fsuid);
    }

    // In a user namespace already, where ids have other numbers: only what differs from who has made the thread.
    private static void QueueOtherIds(
        RestoreContext context, RestoredNamespace user, CredsEntry saved, CredsEntry present, RemoteBatch batch)
    {
        (IdMap users, IdMap groups) = Namespaces.UserNamespace.Maps(context.Images.One<UsernsEntry>(ImageKind.Userns, user.Id));
        QueueKeeping(batch);
        if (!saved.Groups.Order().SequenceEqual(present.Groups.Order()))
        {
            RemoteBuffer numbers = batch.Data(MemoryMarshal.AsBytes<uint>([.. saved.Groups.Select(groups.ToInner)]));
            batch.Call(Sysno.setgroups, saved.Groups.Count, numbers);
        }

        if ((saved.Uid, saved.Euid, saved.Suid, saved.Fsuid) != (present.Uid, present.Euid, present.Suid, present.Fsuid)
            || (saved.Gid, saved.Egid, saved.Sgid, saved.Fsgid) != (present.Gid, present.Egid, present.Sgid, present.Fsgid))
        {
            CredsEntry inner = saved.Clone();
            new MappedIds(users, groups).MapCredentials(inner);
            QueueUserAndGroup(inner, batch);
        }
    }

    private static ulong AllCapabilities()
        => (2UL << int.Parse(ProcValue.ReadText("/proc/sys/kernel/cap_last_cap")!, System.Globalization.CultureInfo.InvariantCulture)) - 1;

    private static void Add(RepeatedField<uint> permitted, RepeatedField<uint> bounding, ulong mask)
    {
        permitted.Clear();
        bounding.Clear();
        Add(permitted, mask);
        Add(bounding, mask);
    }

    private static void RestoreCapabilities(
        RestoreContext context, RestoredThread thread, CredsEntry saved, CredsEntry present, RemoteBatch batch)
    {
        ulong setpcap = 1UL << CapabilitySetpcap;
        ulong permitted = Join(saved.CapPrm);
        ulong bounding = Join(saved.CapBnd);
        ulong available = Join(present.CapPrm);
        if ((permitted & ~available) is not 0 and ulong lacking)
        {
            throw new CheckpointException(
                $"thread {thread.Tid} had capabilities that firn can't give it (mask 0x{lacking:x}); run firn with them")
            { Pid = thread.Task.Pid };
        }

        if ((bounding & ~Join(present.CapBnd)) is not 0 and ulong outside)
        {
            context.Log.LogWarning("thread {Tid}: its bounding set had capabilities that firn's has not: 0x{Mask:x}", thread.Tid, outside);
        }

        SetCapabilities(batch, permitted | setpcap, permitted | setpcap, Join(saved.CapInh));
        for (ulong drop = Join(present.CapBnd) & ~bounding; drop != 0; drop &= drop - 1)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_CAPBSET_DROP, BitOperations.TrailingZeroCount(drop), 0, 0, 0);
        }

        batch.Call(Sysno.prctl, (int)PrctlOption.PR_CAP_AMBIENT, AmbientClearAll, 0, 0, 0);
        for (ulong raise = Join(saved.CapAmb); raise != 0; raise &= raise - 1)
        {
            batch.Call(Sysno.prctl, (int)PrctlOption.PR_CAP_AMBIENT, AmbientRaise, BitOperations.TrailingZeroCount(raise), 0, 0);
        }

        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_SECUREBITS, saved.Secbits, 0, 0, 0);
        SetCapabilities(batch, Join(saved.CapEff), permitted, Join(saved.CapInh));
    }

    private static void SetCapabilities(RemoteBatch batch, ulong effective, ulong permitted, ulong inheritable)
    {
        RemoteBuffer header = batch.Data(new CapabilityHeader { version = CapabilityHeader._LINUX_CAPABILITY_VERSION_3 });
        ReadOnlySpan<CapabilityData> data =
        [
            new() { effective = (uint)effective, permitted = (uint)permitted, inheritable = (uint)inheritable },
            new() { effective = (uint)(effective >> 32), permitted = (uint)(permitted >> 32), inheritable = (uint)(inheritable >> 32) },
        ];
        batch.Call(Sysno.capset, header, batch.Data(MemoryMarshal.AsBytes(data)));
    }

    // No-new-privileges aside, which is looked at by itself.
    private static bool IsSame(CredsEntry one, CredsEntry other)
    {
        CredsEntry first = one.Clone();
        CredsEntry second = other.Clone();
        first.ClearNoNewPrivs();
        second.ClearNoNewPrivs();
        return first.Equals(second);
    }

    private static uint OwnSecureBits() => (uint)Firn.Linux.Sys.Prctl(PrctlOption.PR_GET_SECUREBITS).Int32;

    private static void Add(RepeatedField<uint> words, ulong mask)
    {
        words.Add((uint)mask);
        words.Add((uint)(mask >> 32));
    }

    private static ulong Join(RepeatedField<uint> words)
        => (words.Count > 0 ? words[0] : 0) | (words.Count > 1 ? (ulong)words[1] << 32 : 0);
}
