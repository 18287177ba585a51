using Firn.Images;
using Firn.Linux;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>A process of a frozen tree, and the messages that its dump fills.</summary>
internal sealed class DumpedTask : IDisposable
{
    private NamespaceIds? namespaces;

    private int reachedBy;

    /// <summary>Its process id, as Firn sees it.</summary>
    public required int ProcessId { get; init; }

    /// <summary>
    /// The id by which the process is reached, in /proc and by system calls: its process id, or the id of its first living thread where
    /// that which had the process's id has exited. Of such a one the kernel shows neither memory nor descriptors.
    /// </summary>
    public int Pid => reachedBy == 0 ? ProcessId : reachedBy;

    /// <summary>How far the pid namespace of the tree's root, whose ids images hold, is below Firn's.</summary>
    public int PidLevel { get; set; }

    /// <summary>Its process id as the pid namespace of the tree's root has it: the one in images.</summary>
    public int InnerPid => InRoot(Status.NStgid, ProcessId);

    /// <summary>Its process group as the pid namespace of the tree's root has it; 0 where it is outside.</summary>
    public int InnerGroup => InRoot(Status.NSpgid, Stat.ProcessGroup);

    /// <summary>Its session as the pid namespace of the tree's root has it; 0 where it is outside.</summary>
    public int InnerSession => InRoot(Status.NSsid, Stat.Session);

    /// <summary>Its process id as its own pid namespace has it.</summary>
    public int OwnPid => Status.NStgid is [.., int innermost] ? innermost : ProcessId;

    /// <summary>How many pid namespaces it is below that of the tree's root.</summary>
    public int PidDepth => Math.Max(0, Status.NStgid.Length - 1 - PidLevel);

    /// <summary>The parent within the tree; null for the root.</summary>
    public required DumpedTask? Parent { get; init; }

    /// <summary>Children, in the order of /proc.</summary>
    public List<DumpedTask> Children { get; } = [];

    /// <summary>Threads that live, the thread-group leader first.</summary>
    public List<DumpedThread> Threads { get; } = [];

    /// <summary>The thread-group leader where it lives; else the first of the others, which stands for the process in its place.</summary>
    public DumpedThread Leader => Threads[0];

    /// <summary>The thread-group leader, where it has exited while other threads run: it stays a zombie until they have, too.</summary>
    public DumpedThread? DeadLeader { get; private set; }

    /// <summary>/proc/PID/stat of the thread-group leader that has exited.</summary>
    public ProcStat? DeadLeaderStat { get; private set; }

    /// <summary>/proc/PID/stat, read while frozen.</summary>
    public ProcStat Stat { get; set; } = null!;

    /// <summary>/proc/PID/status, read while frozen.</summary>
    public ProcStatus Status { get; set; } = null!;

    /// <summary>Its namespaces, read when first asked for; of a thread that lives, where the first one has exited.</summary>
    public NamespaceIds Namespaces => namespaces ??= NamespaceIds.Read(Threads.Count > 0 ? Threads[0].Tid : Pid);

    /// <summary>A zombie: no memory, no descriptors; only its exit status is saved.</summary>
    public bool IsZombie => Stat?.State == TaskState.Zombie;

    /// <summary>
    /// The first process that has the same memory: itself, but for a process that was made with CLONE_VM. Memory is saved with it.
    /// </summary>
    public DumpedTask MemoryOwner
    {
        get => field ?? this;
        set;
    }

    /// <summary>Its mappings without Firn's scratch; read while frozen.</summary>
    public List<Mapping> Mappings { get; set; } = [];

    /// <summary>Descriptors that a Firn which was killed has left in the process: no part of it, and closed on the way in.</summary>
    public List<int> LeftDescriptors { get; } = [];

    /// <summary>A pidfd, for pidfd_getfd(2).</summary>
    public Fd PidFd { get; set; } = null!;

    /// <summary>The way into the process while it is frozen; one for all that share its memory. Null for a zombie.</summary>
    public RemoteProcess? Remote { get; set; }

    /// <summary>mm-PID.img.</summary>
    public MmEntry Mm { get; } = new();

    /// <summary>ids-PID.img, also in the leader's core.</summary>
    public TaskKobjIdsEntry Ids { get; } = new();

    /// <summary>fs-PID.img.</summary>
    public FsEntry Fs { get; } = new();

    /// <summary>The leader's core, also of one that has exited; its Tc is filled by the task kinds.</summary>
    public CoreEntry Core => (DeadLeader ?? Leader).Core;

    /// <summary>Says that the thread-group leader has exited, and others live.</summary>
    /// <param name="stat">/proc/PID/stat of the leader.</param>
    public void LeaderIsDead(ProcStat stat)
    {
        reachedBy = Threads[0].Tid;
        DeadLeader = new DumpedThread { Task = this, Tid = ProcessId };
        DeadLeaderStat = stat;
    }

    /// <inheritdoc/>
    public void Dispose() => PidFd?.Dispose();

    private int InRoot(int[] ids, int otherwise) => ids.Length > PidLevel ? ids[PidLevel] : otherwise;
}

/// <summary>A thread of a frozen tree.</summary>
internal sealed class DumpedThread
{
    /// <summary>The process it belongs to.</summary>
    public required DumpedTask Task { get; init; }

    /// <summary>Its id, as Firn sees it.</summary>
    public required int Tid { get; init; }

    /// <summary>Its ids, from that in Firn's pid namespace to that in its own; known once the tree stands.</summary>
    public int[] Ids { get; set; } = [];

    /// <summary>Its id as the pid namespace of the tree's root has it: the one in images.</summary>
    public int InnerTid => Ids.Length > Task.PidLevel ? Ids[Task.PidLevel] : Tid;

    /// <summary>Its id as its own pid namespace has it.</summary>
    public int OwnTid => Ids is [.., int innermost] ? innermost : Tid;

    /// <summary>The seized thread; null for a zombie.</summary>
    public Tracee? Tracee { get; init; }

    /// <summary>Nanoseconds that are left of the call it is within, where only a look at the kernel's timers has told.</summary>
    public ulong? RestOfCall { get; set; }

    /// <summary>The way into the thread while it is frozen.</summary>
    public Remote? Remote { get; set; }

    /// <summary>core-TID.img.</summary>
    public CoreEntry Core { get; } = new();
}
