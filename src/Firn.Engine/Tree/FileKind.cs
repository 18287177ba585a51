using Firn.Images;
using Firn.Linux;
using Firn.Tracing;

namespace Firn.Engine.Tree;

/// <summary>A kind of open file description: both halves of how it is saved and made again.</summary>
internal abstract class FileKind
{
    /// <summary>The type in files.img and fdinfo.</summary>
    public abstract FdTypes Type { get; }

    // ---- dump

    /// <summary>Whether a descriptor is of this kind. Kinds are asked in the order of FileKinds.All.</summary>
    public abstract bool Recognizes(OpenFile file);

    /// <summary>
    /// Finds files that lie in this one, and which maybe no task holds: <see cref="OpenFileTable.AddInFlight"/>. Called once for each file,
    /// when those of all tasks are known.
    /// </summary>
    public virtual void CollectInner(DumpContext context, OpenFile file)
    {
    }

    /// <summary>
    /// Says what of this file would make the dump fail, into <see cref="DumpContext.Problems"/>. Called before anything is written or
    /// changed, also by `check --pid`.
    /// </summary>
    public virtual void Examine(DumpContext context, OpenFile file)
    {
    }

    /// <summary>Whether a mapping of this file, which is none of a file system, can be made again through its descriptor.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="file">The file.</param>
    /// <param name="length">The mapping's length, in bytes.</param>
    public virtual bool IsMappable(DumpContext context, OpenFile file, ulong length) => false;

    /// <summary>
    /// Fills the file's message in files.img (type and id are set) and adds other images to <see cref="DumpContext.Images"/>.
    /// </summary>
    public abstract void Dump(DumpContext context, OpenFile file, FileEntry entry);

    // ---- restore

    /// <summary>
    /// Makes the open file description in Firn itself; it reaches the tasks by inheritance. Called once for each entry, in the order of
    /// files.img. May return null where another entry's Create makes both (the other end of a pipe or socket pair) and then calls
    /// <see cref="RestoredFiles.Provide"/>.
    /// </summary>
    public abstract Fd? Create(RestoreContext context, FileEntry entry);

    /// <summary>Puts files into files, once for the kind, when those of all kinds are created.</summary>
    public virtual void Complete(RestoreContext context)
    {
    }

    /// <summary>Connects what exists now: peers, epoll targets, queues. Called for each entry after all are created.</summary>
    public virtual void Link(RestoreContext context, FileEntry entry, Fd fd)
    {
    }

    /// <summary>What only a task that holds it can do; queued once for each descriptor, after the task's whole table is in place.</summary>
    public virtual void Attach(RestoreContext context, FileEntry entry, RestoredTask task, FdinfoEntry descriptor, RemoteBatch batch)
    {
    }

    /// <summary>Sets going what ticks or fires. Called last, just before the tree is thawed.</summary>
    public virtual void Arm(RestoreContext context, FileEntry entry, Fd fd)
    {
    }
}
