using System.Globalization;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Tree;

/// <content>Files that no descriptor leads to: mapped files, executables, working directories and roots.</content>
internal sealed partial class OpenFileTable
{
    private static readonly FdInfo NoFdInfo = FdInfo.Parse("pos:\t0\nflags:\t00\n"u8);

    private readonly Dictionary<(uint Major, uint Minor, ulong Inode, string Name), OpenFile> mappedFiles = [];
    private readonly Dictionary<(ulong Device, ulong Inode, string Link), OpenFile> filesByLink = [];
    private uint lastId;

    /// <summary>
    /// Gives the id of a mapped file: one for each file, whoever maps it and how. Its entry has no position and no flags; a restore opens
    /// it as the mapping needs (<see cref="RestoredFiles"/>; mappings by their plan).
    /// </summary>
    /// <param name="context">The dump.</param>
    /// <param name="task">The task.</param>
    /// <param name="mapping">A mapping with a file: also memfd and shared anonymous memory, where that is to be saved as a memfd.</param>
    public uint AddMapped(DumpContext context, DumpedTask task, Mapping mapping)
    {
        var key = (mapping.DevMajor, mapping.DevMinor, mapping.Inode, mapping.Name);
        if (!mappedFiles.TryGetValue(key, out OpenFile? file))
        {
            // map_files has the range in hexadecimal without leading zeroes, and leads to the very inode, unlinked or not.
            string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{task.Pid}/map_files/{mapping.Start:x}-{mapping.End:x}");
            mappedFiles.Add(key, file = AddShared(context, task, path));
        }

        file.IsMappedPrivately |= !mapping.Shared;
        return file.Id;
    }

    /// <summary>Gives the id of what /proc/PID/exe leads to: the same as that of its mappings.</summary>
    public uint AddExecutable(DumpContext context, DumpedTask task) => AddShared(context, task, $"/proc/{task.Pid}/exe").Id;

    private uint AddDirectory(DumpedTask task, string name)
    {
        OpenFile file = OpenLink(task, $"/proc/{task.Pid}/{name}");
        Register(file);
        return file.Id;
    }

    private OpenFile AddShared(DumpContext context, DumpedTask task, string procPath)
    {
        OpenFile file = OpenLink(task, procPath);
        var key = (file.Stat.st_dev, file.Stat.st_ino, file.Link);
        if (filesByLink.TryGetValue(key, out OpenFile? known))
        {
            return known;
        }

        Register(file);
        filesByLink.Add(key, file);
        if (examined == files.Count - 1)
        {
            ExamineNew(context);
        }

        return file;
    }

    private static OpenFile OpenLink(DumpedTask task, string procPath)
    {
        Sys.StatAt(At.AT_FDCWD, procPath, out FileStat stat).OrThrow($"stat({procPath})");
        return new OpenFile
        {
            Owner = task,
            Number = OpenFile.NoDescriptor,
            ProcPath = procPath,
            Link = Sys.ReadLink(procPath, out Errno errno) ?? throw new LinuxException($"readlink({procPath})", errno),
            Stat = stat,
            Info = NoFdInfo,
        };
    }
}
