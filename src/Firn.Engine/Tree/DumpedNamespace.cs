using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Tree;

/// <summary>A namespace that the tasks of a frozen tree are in.</summary>
internal sealed class DumpedNamespace
{
    /// <summary>What kind of namespace it is.</summary>
    public required NamespaceKind Kind { get; init; }

    /// <summary>Its id in the ids of tasks, and in the names of its images.</summary>
    public required uint Id { get; init; }

    /// <summary>The inode number that stands for it.</summary>
    public required ulong Inode { get; init; }

    /// <summary>Whether it is Firn's too. Such a one isn't saved: the tree gets the namespace of the Firn that restores it.</summary>
    public required bool IsFirns { get; init; }

    /// <summary>Whether the tree's root is in another one of this kind.</summary>
    public bool IsNested { get; init; }

    /// <summary>Of one that no task is in: the way to it.</summary>
    public Fd? Handle { get; init; }

    /// <summary>The first task that was found in it; where none is, in a namespace that it owns or that was made in it.</summary>
    public required DumpedTask Member { get; init; }

    /// <summary>Opens it, for setns(2) and the ioctls of ioctl_ns(2).</summary>
    public Fd Open()
        => Handle is null
            ? NamespaceVisit.Open(Member.Pid, Kind.Name)
            : new Fd(Sys.Fcntl(Handle.Number, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow("fcntl(a namespace, F_DUPFD_CLOEXEC)").Int32);

    /// <summary>
    /// Enters it with the calling thread, until the visit is disposed; then the thread is where it was. Not for pid, user and time
    /// namespaces.
    /// </summary>
    public NamespaceVisit Visit()
    {
        using Fd there = Open();
        return NamespaceVisit.Enter(there, Kind.Flag);
    }
}
