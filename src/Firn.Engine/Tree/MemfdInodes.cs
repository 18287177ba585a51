using Firn.Images;
using Firn.Linux;

namespace Firn.Engine.Tree;

/// <summary>
/// The memory objects of a dump that are to be in memfd.img, by the ids there: one for each inode, however many files stand for it. Of
/// <see cref="OpenFileTable.State"/>; whoever saves memory goes through <see cref="All"/> once all files are collected.
/// </summary>
internal sealed class MemfdInodes
{
    private readonly Dictionary<(ulong Device, ulong Inode), uint> ids = [];
    private readonly List<(uint Id, OpenFile File)> all = [];

    /// <summary>All objects: the id in memfd.img, and a file that stands for it (<see cref="OpenFile.ProcPath"/> opens it).</summary>
    public IReadOnlyList<(uint Id, OpenFile File)> All => all;

    /// <summary>The id of the object behind a file.</summary>
    public uint IdOf(OpenFile file)
    {
        var inode = (file.Stat.st_dev, file.Stat.st_ino);
        if (!ids.TryGetValue(inode, out uint id))
        {
            ids.Add(inode, id = (uint)ids.Count + 1);
            all.Add((id, file));
        }

        return id;
    }

    /// <summary>The id of an inode, or 0 when it is not among them.</summary>
    public uint Find(ulong device, ulong inode) => ids.GetValueOrDefault((device, inode));
}

/// <summary>
/// The memory objects of a restore, by their ids in memfd.img. Of <see cref="RestoredFiles.State"/>; whoever restores memory
/// provides them before the files are created.
/// </summary>
internal sealed class MemfdObjects : IDisposable
{
    private readonly Dictionary<uint, Fd> objects = [];

    /// <summary>Takes over an object.</summary>
    public void Provide(uint id, Fd fd) => objects.Add(id, fd);

    /// <summary>A descriptor for an object, open for reading and writing.</summary>
    /// <exception cref="ImageFormatException">memfd.img has no such id.</exception>
    public Fd Get(uint id) => objects.TryGetValue(id, out Fd? fd)
        ? fd
        : throw new ImageFormatException(
            ImageKind.Memfd.FileName(0), 0, "memfd-id", $"has no object with the id {id}, which files.img names");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd fd in objects.Values)
        {
            fd.Dispose();
        }
    }
}
