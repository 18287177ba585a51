using System.Text;
using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Files;

/// <summary>A descriptor of a namespace, as of /proc/PID/ns/net: one that tasks of the tree are in, or Firn's own.</summary>
/// <remarks>
/// namespaces(7). One that was bound to a path and opened by that has the path as its name, and is a <see cref="RegularFile"/>.
/// </remarks>
internal sealed class NamespaceFile : FileKind
{
    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Ns;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => KindOf(file, out _) is not null;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        if (IdOf(context, file) == 0)
        {
            context.Problems.Add(
                "namespace-outside",
                file.Owner.Pid,
                file.Resource,
                "no task of the tree is in that namespace, and it isn't Firn's either",
                "let the program close it before the dump, or dump a tree that has a task there");
        }
        else if (KindOf(file, out ulong inode)!.Flag == CloneFlags.CLONE_NEWPID && context.Nested.Exists(nested => nested.Inode == inode))
        {
            context.Problems.Add(
                "namespace-nested-pid",
                file.Owner.Pid,
                file.Resource,
                "it is a pid namespace below that of the tree's root, which exists only when its first process does, and files come before",
                "let the program close it before the dump");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
        => entry.Nsf = new NsFileEntry
        {
            Id = file.Id,
            NsId = IdOf(context, file),
            NsCflag = (uint)KindOf(file, out _)!.Flag,
            Flags = (uint)file.Flags,
        };

    private static NamespaceKind? KindOf(OpenFile file, out ulong inode)
    {
        inode = 0;
        if (file.Link.StartsWith('/') || !NamespaceIds.TryParse(Encoding.UTF8.GetBytes(file.Link), out ReadOnlySpan<byte> type, out inode))
        {
            return null;
        }

        string name = Encoding.UTF8.GetString(type);
        return NamespaceKinds.All.FirstOrDefault(kind => kind.Name == name);
    }

    private static uint IdOf(DumpContext context, OpenFile file)
    {
        NamespaceKind kind = KindOf(file, out ulong inode)!;
        return context.Of(kind.Flag).FirstOrDefault(found => found.Inode == inode)?.Id
            ?? (kind.Inode(NamespaceIds.Read(Sys.GetPid())) == inode ? kind.GetId(KernelObjectIds.Own()) : 0);
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        NsFileEntry message = entry.Nsf;
        NamespaceKind kind = NamespaceKinds.All.FirstOrDefault(kind => kind.Flag == (CloneFlags)message.NsCflag)
            ?? throw new ImageFormatException(
                ImageKind.Files.FileName(0), -1, "file-entry", $"has a namespace of the kind 0x{message.NsCflag:x}; the image is damaged");
        var flags = (OpenFlags)message.Flags;
        if (NestedNamespaces.Find(context, kind.Flag, message.NsId)?.Entrance is { } entrance)
        {
            return Sys.Open(NamespaceVisit.PathOf(entrance.Number), flags);
        }

        RestoredNamespace? own = context.OwnNamespace(kind.Flag);
        int pid = own is not null && kind.GetId(context.Tasks[0].Ids) == message.NsId ? context.FirstPid : Sys.GetPid();
        return Sys.Open($"{NamespaceVisit.OwnProc}{pid}/ns/{kind.Name}", flags);
    }
}
