using Firn.Engine.Hooks;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Tree;

/// <summary>What the stages of a restore share.</summary>
internal sealed class RestoreContext
{
    // Where files are opened, bound and made.
    private const CloneFlags NeededByFiles
        = CloneFlags.CLONE_NEWNET | CloneFlags.CLONE_NEWIPC | CloneFlags.CLONE_NEWUTS | CloneFlags.CLONE_NEWNS;

    private readonly Stack<Action> undoWithin = new();

    /// <summary>What was asked for.</summary>
    public required RestoreOptions Options { get; init; }

    /// <summary>Where log lines go.</summary>
    public required ILogger Log { get; init; }

    /// <summary>The image set, read and verified.</summary>
    public required LoadedImages Images { get; init; }

    /// <summary>All processes, parents before children.</summary>
    public List<RestoredTask> Tasks { get; } = [];

    /// <summary>The namespaces that the root gets instead of Firn's, in the order of <see cref="Kinds.NamespaceKinds.All"/>.</summary>
    public List<RestoredNamespace> Namespaces { get; } = [];

    /// <summary>Namespaces that other tasks are in, and the root is not, in the order of their kinds.</summary>
    public List<RestoredNamespace> Nested { get; } = [];

    /// <summary>Pid namespaces below that of the tree's root.</summary>
    public List<NestedPids> NestedPids { get; } = [];

    /// <summary>Mounts of nested mount namespaces, by their ids in images.</summary>
    public Dictionary<uint, RestoredNamespace> NestedMounts { get; } = [];

    /// <summary>The open file descriptions, as far as they exist.</summary>
    public required RestoredFiles Files { get; init; }

    /// <summary>Who takes part.</summary>
    public required HookCaller Hooks { get; init; }

    /// <summary>Tells how far the restore has come.</summary>
    public PhaseClock? Clock { get; set; }

    /// <summary>
    /// What is to be done when all else is, just before the tree runs: what can't be taken back, as the outside may learn of it.
    /// </summary>
    public List<Action> BeforeThaw { get; } = [];

    /// <summary>The first task of the tree as Firn sees it, once it exists: the root, or an init that Firn adds.</summary>
    public int FirstPid { get; set; }

    /// <summary>The root's own namespace of a kind, or null where it shares Firn's.</summary>
    public RestoredNamespace? OwnNamespace(CloneFlags flag) => Namespaces.Find(own => own.Kind.Flag == flag);

    /// <summary>The id by which Firn knows a task, thread or group leader that exists; those of another namespace have two.</summary>
    /// <param name="inner">The id in the images, which the tree's own pid namespace has.</param>
    public int OuterId(int inner) => OwnNamespace(CloneFlags.CLONE_NEWPID) is null
        ? inner
        : Tasks.SelectMany(task => task.Threads).FirstOrDefault(thread => thread.Tid == inner)?.Remote.Tracee.Tid ?? 0;

    /// <summary>The id of a task or thread of the tree, or of a process that is gone, as the pid namespace of a task has it.</summary>
    /// <param name="viewer">The task.</param>
    /// <param name="inner">The id in the images.</param>
    /// <returns>0 if the task can't see it.</returns>
    public int IdFor(RestoredTask viewer, int inner)
        => viewer.Pids is null
            ? inner
            : Tasks.SelectMany(task => task.Threads).FirstOrDefault(thread => thread.Tid == inner)?.IdFor(viewer) ?? 0;

    /// <summary>The id of a process group as the pid namespace of a task has it; 0 if the task can't see it.</summary>
    public int GroupFor(RestoredTask viewer, int inner)
        => viewer.Pids is null
            ? inner
            : Tasks.Find(task => task.Entry.Pgid == inner && task.Pids == viewer.Pids)?.OwnGroup ?? IdFor(viewer, inner);

    /// <summary>
    /// What to take back, in reverse, should the restore fail: files, sockets' paths. Not processes: those die with their tracer. What was
    /// pushed <see cref="Within"/> the tree's namespaces is taken back there, before they are gone; all else when no process is left.
    /// </summary>
    public Stack<Action> Undo { get; private set; } = new();

    /// <summary>Does work in the namespaces that the tree's files are in; at once where those are Firn's.</summary>
    public void Within(Remote first, Action work)
    {
        if (Namespaces.Count == 0)
        {
            work();
            return;
        }

        Stack<Action> outside = Undo;
        Undo = undoWithin;
        try
        {
            using NamespaceVisit visit = Visit(first, NeededByFiles);
            work();
        }
        finally
        {
            Undo = outside;
        }
    }

    /// <summary>Goes into some namespaces of the root, of those that are its own.</summary>
    public NamespaceVisit Visit(Remote first, CloneFlags which)
    {
        CloneFlags own = Namespaces.Aggregate((CloneFlags)0, (flags, own) => flags | own.Kind.Flag);
        using var pidFd = new Fd(Sys.PidfdOpen(first.Tracee.Tid).OrThrow($"pidfd_open({first.Tracee.Tid})").Int32);
        return NamespaceVisit.Enter(pidFd.Number, own & which);
    }

    /// <summary>Takes back what was done <see cref="Within"/> the tree's namespaces, after a failure.</summary>
    /// <param name="first">The first task; asked for only if there is something to take back.</param>
    public void UndoWithin(Func<Remote> first)
    {
        if (undoWithin.Count == 0)
        {
            return;
        }

        try
        {
            using NamespaceVisit visit = Visit(first(), NeededByFiles);
            while (undoWithin.TryPop(out Action? undo))
            {
                undo();
            }
        }
        catch (LinuxException exception)
        {
            Log.LogWarning("what was made in the tree's namespaces can't be taken back: {Message}", exception.Message);
        }
    }
}
