using Firn.Images;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>A process that a restore makes, and the messages that say how.</summary>
internal sealed class RestoredTask
{
    /// <summary>The task_state of a zombie in its core.</summary>
    public const uint DeadState = 2;

    /// <summary>Its row in pstree.img.</summary>
    public required PstreeEntry Entry { get; init; }

    /// <summary>Its process id in the images: the one that the pid namespace of the tree's root has.</summary>
    public int Pid => (int)Entry.Pid;

    /// <summary>Its process id as its own pid namespace has it.</summary>
    public int OwnPid => Leader.OwnTid;

    /// <summary>The pid namespace that it is in, if that is one below the one that the tree's root is in.</summary>
    public NestedPids? Pids { get; set; }

    /// <summary>The user namespace that it is in, if that is one below the one that the tree's root is in.</summary>
    public RestoredNamespace? User { get; set; }

    /// <summary>
    /// The one that it is born in, and can leave for one below it alone: it is the init of a pid namespace that this owns, or comes from
    /// one. Null for all others, which are born where the tree's root is.
    /// </summary>
    public RestoredNamespace? BirthUser { get; set; }

    /// <summary>Whether it goes to its user namespace once it exists.</summary>
    public bool GoesToUser => User is not null && User != BirthUser;

    /// <summary>Whether it goes there at the very end. Who shall have threads goes before it has them (setns(2)).</summary>
    public bool GoesToUserLast => GoesToUser && Threads.Count == 1;

    /// <summary>How many pid namespaces it is below that of the tree's root.</summary>
    public int PidDepth => Leader.Nested.Count;

    /// <summary>Its process group as its own pid namespace has it; 0 where it is outside.</summary>
    public int OwnGroup => (int)(PidDepth == 0 ? Entry.Pgid : Entry.NestedGroup.Ids[^1]);

    /// <summary>Its process id as Firn sees it, once it exists.</summary>
    public int OuterPid => Leader.Remote.Tracee.Tid;

    /// <summary>The parent within the tree; null for the root.</summary>
    public required RestoredTask? Parent { get; init; }

    /// <summary>Who makes it: the parent, or a child of the parent that shares with it what is to be shared. Null for the root.</summary>
    public RestoredTask? Creator { get; set; }

    /// <summary>What it shares with its creator (clone(2), CLONE_VM and its kin) without being a thread of it.</summary>
    public CloneFlags Shared { get; set; }

    /// <summary>The processes that it makes, in the order of pstree.img.</summary>
    public List<RestoredTask> Created { get; } = [];

    /// <summary>The signal that its parent gets at its end; none for 0.</summary>
    public Signal ExitSignal => Core.Tc.HasExitSignal ? (Signal)Core.Tc.ExitSignal : Signal.SIGCHLD;

    /// <summary>The first process that has the same memory, which is restored by it: itself for most.</summary>
    public RestoredTask MemoryOwner => (Shared & CloneFlags.CLONE_VM) != 0 ? Creator!.MemoryOwner : this;

    /// <summary>Whether it has a descriptor table of its own to fill, or one that its creator has too.</summary>
    public bool OwnsDescriptors => (Shared & CloneFlags.CLONE_FILES) == 0;

    /// <summary>Whether it has a working directory, root and umask of its own.</summary>
    public bool OwnsDirectories => (Shared & CloneFlags.CLONE_FS) == 0;

    /// <summary>Children, in the order of pstree.img.</summary>
    public List<RestoredTask> Children { get; } = [];

    /// <summary>Threads, the leader first.</summary>
    public List<RestoredThread> Threads { get; } = [];

    /// <summary>The thread-group leader. One that is to exit before the others lives until the thaw.</summary>
    public RestoredThread Leader => Threads[0];

    /// <summary>The first thread that is to live on.</summary>
    public RestoredThread FirstAlive => Threads[HasDeadLeader ? 1 : 0];

    /// <summary>The threads that are to live on.</summary>
    public IEnumerable<RestoredThread> Alive => Threads.Skip(HasDeadLeader ? 1 : 0);

    /// <summary>Whether the thread-group leader is to exit while the others go on.</summary>
    public bool HasDeadLeader => Core.Tc.HasLeaderExitCode;

    /// <summary>The leader's core.</summary>
    public CoreEntry Core => Leader.Core;

    /// <summary>Ids of the kernel objects that tasks may share.</summary>
    public required TaskKobjIdsEntry Ids { get; init; }

    /// <summary>mm-PID.img, of the process that owns its memory; null for a zombie.</summary>
    public MmEntry? Mm { get; set; }

    /// <summary>fs-PID.img; null for a zombie.</summary>
    public FsEntry? Fs { get; init; }

    /// <summary>fdinfo-ID.img: the descriptor table.</summary>
    public IReadOnlyList<FdinfoEntry> Descriptors { get; init; } = [];

    /// <summary>Whether it is to end up a zombie.</summary>
    public bool IsZombie => Core.Tc.TaskState == DeadState;
}

/// <summary>A thread that a restore makes.</summary>
internal sealed class RestoredThread
{
    /// <summary>The process it belongs to.</summary>
    public required RestoredTask Task { get; init; }

    /// <summary>Its id in the images: the one that the pid namespace of the tree's root has.</summary>
    public required int Tid { get; init; }

    /// <summary>Its ids in the pid namespaces below that, the outermost first.</summary>
    public IReadOnlyList<uint> Nested { get; init; } = [];

    /// <summary>Its id as its own pid namespace has it.</summary>
    public int OwnTid => Nested is [.., uint own] ? (int)own : Tid;

    /// <summary>Its id as the pid namespace of a task has it; 0 if that task can't see it.</summary>
    public int IdFor(RestoredTask viewer)
        => viewer.Pids is null ? Tid : Task.Pids?.Contains(viewer.Pids) == true ? (int)Nested[viewer.PidDepth - 1] : 0;

    /// <summary>core-TID.img.</summary>
    public required CoreEntry Core { get; init; }

    /// <summary>What the call gave that the thread had not ended at the dump, once it was begun again with the rest of its time.</summary>
    public long? CallResult { get; set; }

    /// <summary>The way into the thread, once it exists.</summary>
    public Remote Remote { get; set; } = null!;
}
