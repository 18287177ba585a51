using Firn.Images;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Tree;

/// <summary>What the halves of a dump share.</summary>
internal sealed class DumpContext
{
    /// <summary>What was asked for.</summary>
    public required DumpOptions Options { get; init; }

    /// <summary>Where log lines go.</summary>
    public required ILogger Log { get; init; }

    /// <summary>What stands in the way.</summary>
    public ProblemList Problems { get; } = new();

    /// <summary>The messages of the image set, in memory until post-dump writes them.</summary>
    public PendingImages Images { get; } = new();

    /// <summary>The inventory, in which kinds may say what belongs to the set as a whole; TreeImages does the rest.</summary>
    public InventoryEntry Inventory { get; } = new();

    /// <summary>All processes, parents before children.</summary>
    public List<DumpedTask> Tasks { get; } = [];

    /// <summary>The namespaces of the tree's root, one of each kind, in the order of <see cref="Kinds.NamespaceKinds.All"/>.</summary>
    public List<DumpedNamespace> Namespaces { get; } = [];

    /// <summary>Other namespaces that tasks of the tree are in, in the order of their kinds.</summary>
    public List<DumpedNamespace> Nested { get; } = [];

    /// <summary>The open file descriptions of the tree, with their ids.</summary>
    public required OpenFileTable Files { get; init; }

    /// <summary>The control groups that were frozen when the dump came, and are thawed while it lasts.</summary>
    public IReadOnlyList<Linux.Cgroups.CgroupFreezer> FrozenBefore { get; init; } = [];

    /// <summary>Counts of pages.</summary>
    public PageStatistics PageStatistics { get; } = new();

    /// <summary>
    /// Files that were written so far into the images directory, by name relative to it: taken away should the dump fail.
    /// </summary>
    public List<string> WrittenFiles { get; } = [];

    /// <summary>What is to be done when all messages are written, before the image set is published.</summary>
    public List<Action> BeforePublishing { get; } = [];

    /// <summary>
    /// What can be read only by taking it away, as connections from a listener's queue: done once the tree is killed, through descriptors
    /// that Firn has taken, so that no one is left who would miss it. What it adds to <see cref="Images"/>, in files of their own, joins
    /// the published set; a set without those files must be one that can be restored.
    /// </summary>
    public List<Action> AfterKill { get; } = [];

    /// <summary>A name for this dump, by which the restore finds what it has left in the system.</summary>
    public string RunId { get; } = Guid.NewGuid().ToString();

    /// <summary>The packets of the tree; null in an examination.</summary>
    public PacketHold? Packets { get; set; }

    /// <summary>Tells how far the dump has come; null in an examination.</summary>
    public PhaseClock? Clock { get; set; }

    /// <summary>All namespaces that Firn doesn't share with the tree: of each kind the root's first.</summary>
    public IEnumerable<DumpedNamespace> OwnNamespaces
        => (Nested.Count == 0 ? Namespaces : Namespaces.SelectMany(roots => Of(roots.Kind.Flag))).Where(found => !found.IsFirns);

    /// <summary>All namespaces of a kind: the root's, and nested ones.</summary>
    public IEnumerable<DumpedNamespace> Of(CloneFlags flag)
        => Namespaces.Concat(Nested).Where(found => found.Kind.Flag == flag);

    /// <summary>The namespace of a kind that a task is in.</summary>
    public DumpedNamespace NamespaceOf(DumpedTask task, CloneFlags flag)
        => Nested.Count == 0 ? Namespace(flag) : Of(flag).First(found => found.Id == found.Kind.GetId(task.Ids));

    /// <summary>The root's namespace of a kind.</summary>
    public DumpedNamespace Namespace(CloneFlags flag) => Namespaces.First(found => found.Kind.Flag == flag);

    /// <summary>A process group of the tree as its pid namespace has it; what is no group of the tree is outside, and 0 inside.</summary>
    /// <param name="outer">The group as Firn sees it.</param>
    public int InnerGroup(int outer)
        => Namespace(CloneFlags.CLONE_NEWPID).IsFirns ? outer : Tasks.Find(task => task.Stat.ProcessGroup == outer)?.InnerGroup ?? 0;

    /// <summary>A task or thread of the tree as its pid namespace has it, or 0.</summary>
    /// <param name="outer">The id as Firn sees it.</param>
    public int InnerId(int outer) => Namespace(CloneFlags.CLONE_NEWPID).IsFirns
        ? outer
        : FindTask(outer)?.InnerPid ?? Tasks.SelectMany(task => task.Threads).FirstOrDefault(thread => thread.Tid == outer)?.InnerTid ?? 0;

    /// <summary>Gives the task with a process id, or null when it is not in the tree.</summary>
    public DumpedTask? FindTask(int pid) => Tasks.Find(task => task.ProcessId == pid);
}
