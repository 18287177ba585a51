using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Tree;

/// <summary>Which user namespace owns a namespace of a frozen tree. ioctl_ns(2), user_namespaces(7).</summary>
internal static class NamespaceOwners
{
    private const uint NS_GET_USERNS = 0xb701;
    private const uint NS_GET_PARENT = 0xb702;
    private const uint NS_GET_OWNER_UID = 0xb704;

    /// <summary>The user namespace below that of the tree's root which owns a namespace; null if it is none that a task is in.</summary>
    public static DumpedNamespace? NestedOwner(DumpContext context, DumpedNamespace own)
    {
        ulong inode = own.IsFirns ? 0 : InodeOf(own, NS_GET_USERNS);
        return inode == 0 ? null : context.Nested.Find(other => other.Kind.Flag == CloneFlags.CLONE_NEWUSER && other.Inode == inode);
    }

    /// <summary>The inode number of a namespace's owner; 0 if it is above what Firn may see.</summary>
    public static ulong OwnerInode(DumpedNamespace own) => InodeOf(own, NS_GET_USERNS);

    /// <summary>The inode number of the namespace that a pid or user namespace was made in; 0 if it is above what Firn may see.</summary>
    public static ulong ParentInode(DumpedNamespace own) => InodeOf(own, NS_GET_PARENT);

    /// <summary>The user that has made a user namespace, as Firn sees it.</summary>
    public static uint OwnerUser(DumpedNamespace own)
    {
        using Fd there = own.Open();
        Sys.IoctlGet(there.Number, NS_GET_OWNER_UID, out uint user).OrThrow("ioctl(NS_GET_OWNER_UID)");
        return user;
    }

    /// <summary>Opens a namespace's owner; null if that is above what Firn may see.</summary>
    public static Fd? OpenOwner(DumpedNamespace own) => Ask(own, NS_GET_USERNS);

    /// <summary>Opens the namespace that one was made in; null if that is above what Firn may see.</summary>
    public static Fd? OpenParent(DumpedNamespace own) => Ask(own, NS_GET_PARENT);

    private static ulong InodeOf(DumpedNamespace own, uint request)
    {
        using Fd? other = Ask(own, request);
        return other is null ? 0 : InodeOf(other);
    }

    /// <summary>The inode number of a namespace.</summary>
    public static ulong InodeOf(Fd own)
    {
        Sys.Fstat(own.Number, out FileStat stat).OrThrow("fstat(a namespace)");
        return stat.st_ino;
    }

    private static Fd? Ask(DumpedNamespace own, uint request)
    {
        using Fd there = own.Open();
        SysResult result = Sys.Ioctl(there.Number, request);
        return result.IsError ? null : new Fd(result.Int32);
    }
}
