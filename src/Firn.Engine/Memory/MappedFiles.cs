using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>Files to be mapped, opened as the mapping needs them. Of <see cref="RestoredFiles.State"/>.</summary>
/// <remarks>
/// The entry of a mapped file says only which file it is. What may be done to the pages follows from how it was opened (mmap(2): a shared
/// mapping for writing needs O_RDWR), so that mappings of one file may need two descriptors.
/// </remarks>
internal sealed class MappedFiles : IDisposable
{
    private readonly Dictionary<(uint Id, bool Writable), Fd> opened = [];

    /// <summary>Gives a descriptor in the region that tasks inherit.</summary>
    /// <param name="context">The restore; all files are created.</param>
    /// <param name="id">The file.</param>
    /// <param name="writable">Whether a shared mapping may be written to, now or after mprotect(2).</param>
    public Fd Get(RestoreContext context, uint id, bool writable)
    {
        Fd file = context.Files[id];
        var flags = (OpenFlags)Sys.Fcntl(file.Number, FcntlCommand.F_GETFL).OrThrow($"fcntl(file {id}, F_GETFL)").Int32;
        OpenFlags access = flags & OpenFlags.O_ACCMODE;
        if ((flags & OpenFlags.O_PATH) == 0 && (access == OpenFlags.O_RDWR || (access == OpenFlags.O_RDONLY && !writable)))
        {
            return file;
        }

        if (!opened.TryGetValue((id, writable), out Fd? fd))
        {
            fd = context.Files.MoveToRegion(Sys.Open(NamespaceVisit.PathOf(file.Number), writable ? OpenFlags.O_RDWR : OpenFlags.O_RDONLY));
            opened.Add((id, writable), fd);
        }

        return fd;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd fd in opened.Values)
        {
            fd.Dispose();
        }
    }
}
