using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>A kind of namespace: both halves of how one of the tree's own is saved and made again. namespaces(7).</summary>
/// <remarks>
/// All members are called on the tracer thread. Those of the dump only for a namespace that is the tree's own; one that is Firn's, too,
/// needs nothing. In a restore, each moment below comes for all kinds, in the order of NamespaceKinds.All, before the next
/// moment comes for any. Nested ones, which the root isn't in, come after the root's of their kind, and see all moments but
/// <see cref="BeforeExec"/>: the first task of the tree is in them while they are made and filled, and then goes home. A failure anywhere
/// kills the root and all with it, so that what lives in the namespaces needs no undo; <see cref="RestoreContext.Undo"/> is for what lives
/// outside.
/// </remarks>
internal abstract class NamespaceKind
{
    /// <summary>Its name in /proc/PID/ns.</summary>
    public abstract string Name { get; }

    /// <summary>The name in /proc/PID/ns that a new one has for the task which has made it by unshare(2).</summary>
    public virtual string EntranceName => Name;

    /// <summary>The flag of clone(2) and setns(2).</summary>
    public abstract CloneFlags Flag { get; }

    /// <summary>The inode number that stands for the namespace of a task.</summary>
    public abstract ulong Inode(NamespaceIds ids);

    /// <summary>The id of the namespace in the ids of a task.</summary>
    public abstract uint GetId(TaskKobjIdsEntry ids);

    /// <summary>Sets the id of the namespace in the ids of a task.</summary>
    public abstract void SetId(TaskKobjIdsEntry ids, uint id);

    /// <summary>Whether tasks of one tree may be in different ones.</summary>
    public virtual bool CanBeNested => false;

    // ---- dump

    /// <summary>
    /// Says what of the namespace would make the dump fail, into <see cref="DumpContext.Problems"/>. The tree stands, nothing is changed,
    /// and it may run on afterwards: also called by `check --pid`. Before any <see cref="TaskKind.Examine"/> and before files are looked
    /// at.
    /// </summary>
    public virtual void Examine(DumpContext context, DumpedNamespace own)
    {
    }

    /// <summary>
    /// Adds the images of the namespace to <see cref="DumpContext.Images"/>. After all tasks and files have dumped, before memory is
    /// written: each task still has its <see cref="DumpedTask.Remote"/>. The thread may enter it by <see cref="DumpedNamespace.Visit"/>.
    /// </summary>
    public abstract void Dump(DumpContext context, DumpedNamespace own);

    // ---- restore

    /// <summary>Whether the root gets it from its clone3(2). If not, <see cref="InRoot"/> makes it.</summary>
    public virtual bool IsMadeByClone => true;

    /// <summary>
    /// Reads and verifies images, and makes what the root needs from outside before there is a root. May set
    /// <see cref="RestoredNamespace.Joined"/>: the namespace exists already, and the root joins it.
    /// </summary>
    public virtual void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
    }

    /// <summary>
    /// The root exists, in its new namespaces, and is stopped within Firn's own memory, before it executes: maps of a user namespace and
    /// offsets of a time namespace are written now, through /proc of the outside.
    /// </summary>
    /// <param name="context">The restore.</param>
    /// <param name="own">The namespace.</param>
    /// <param name="root">The root's process id as Firn sees it.</param>
    public virtual void BeforeExec(RestoreContext context, RestoredNamespace own, int root)
    {
    }

    /// <summary>
    /// The root is an empty task now, with all capabilities within its namespaces: what it has to do by itself. May run its batch. No other
    /// task of the tree exists, no open file is made.
    /// </summary>
    public virtual void InRoot(RestoreContext context, RestoredNamespace own, Remote root)
    {
    }

    /// <summary>A nested one is about to be made by the first task: what has to come before.</summary>
    /// <returns>What comes after.</returns>
    public virtual Action BeforeNested(RestoreContext context, RestoredNamespace own, Remote first) => static () => { };

    /// <summary>
    /// What Firn does from within: the tracer thread is in the new uts, ipc and network namespaces, and in its own in all else. After
    /// <see cref="InRoot"/> of this kind and before that of the next one.
    /// </summary>
    public virtual void ByController(RestoreContext context, RestoredNamespace own)
    {
    }

    /// <summary>All tasks exist, with all their state but credentials, registers and what ticks: what has to be set last.</summary>
    public virtual void Finish(RestoreContext context, RestoredNamespace own, Remote root)
    {
    }
}
