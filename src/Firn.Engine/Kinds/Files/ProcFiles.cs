using System.Globalization;
using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Files;

/// <summary>Files and directories in /proc that belong to a process: to one of the tree, or to one that is gone.</summary>
/// <remarks>
/// Those of the tree can be opened only once their process exists (the restore's LateFiles). One of a process that is gone stays what it
/// is: reads fail with ESRCH. For that a restore makes a process with that id which has ended, opens the file, and waits for the process.
/// One of a process outside of the tree is opened again if it is still the same process, started at the same time.
/// fs/proc/base.c; proc(5).
/// </remarks>
internal static class ProcFiles
{
    /// <summary>Where the processes are.</summary>
    public const string Root = "/proc/";

    private const string Threads = "task/";

    // They hold the process's memory, which one that has ended doesn't have.
    private static readonly string[] OfMemory =
        ["auxv", "environ", "maps", "mem", "numa_maps", "pagemap", "smaps", "smaps_rollup"];

    /// <summary>The process in whose directory a path is; 0 if it is in none.</summary>
    public static int ProcessOf(string path)
    {
        if (!path.StartsWith(Root, StringComparison.Ordinal))
        {
            return 0;
        }

        ReadOnlySpan<char> rest = path.AsSpan(Root.Length);
        int slash = rest.IndexOf('/');
        return int.TryParse(slash < 0 ? rest : rest[..slash], NumberStyles.None, CultureInfo.InvariantCulture, out int pid) ? pid : 0;
    }

    // ---- dump

    /// <summary>Refuses files of processes that are gone which could be opened only while they lived.</summary>
    public static void ExamineDead(DumpContext context, OpenFile file, string path)
    {
        int pid = ProcessOf(path);
        string own = string.Create(CultureInfo.InvariantCulture, $"{Root}{pid}/");
        string name = path.Length > own.Length ? path[own.Length..] : string.Empty;
        string thread = string.Create(CultureInfo.InvariantCulture, $"{Threads}{pid}");
        bool isOfThread = name.StartsWith(Threads, StringComparison.Ordinal)
            && name != thread && !name.StartsWith(thread + "/", StringComparison.Ordinal);
        if (isOfThread || OfMemory.Contains(name[(name.LastIndexOf('/') + 1)..]))
        {
            context.Problems.Add(
                "process-gone",
                file.Owner.Pid,
                file.Resource,
                "it belongs to a process that is gone, and can be opened only while that lives",
                "let the program close it");
        }
    }

    /// <summary>Joins an entry to the process that is gone, as CRIU does.</summary>
    public static void DumpDead(DumpContext context, uint entryId, string path)
        => context.Images.Add(
            ImageKind.RemapFpath,
            0,
            new RemapFilePathEntry { OrigId = entryId, RemapId = (uint)ProcessOf(path), RemapType = RemapType.Procfs });

    /// <summary>When the process of a file was started, in ticks since boot; null if it is one of the tree, or there is none.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="file">The file.</param>
    /// <param name="path">Its path.</param>
    public static ulong? StartOutside(DumpContext context, OpenFile file, string path)
        => ProcessOf(path) is int pid and not 0
            && !context.Tasks.Exists(task => task.InnerPid == pid || task.Threads.Any(thread => thread.InnerTid == pid))
                ? StartOf(FileName.AsSeenBy(context, file, Root), pid)
                : null;

    // ---- restore

    /// <summary>Checks that the process to which a file belongs, one outside of the tree, is still the same.</summary>
    /// <exception cref="RestoreConflictException">It has ended, or another one has its id.</exception>
    public static void VerifyOutside(RegFileEntry file)
    {
        int pid = ProcessOf(file.Name);
        ulong? start = StartOf(Root, pid);
        if (start != file.ProcessStart)
        {
            throw new RestoreConflictException(
                $"file {file.Name} (id {file.Id}) belongs to process {pid}, outside of the tree, which has ended since the dump"
                    + (start is null ? string.Empty : ", and another one has its id")
                    + $"; hand a file in with --inherit-fd fd[N]:{file.Name.TrimStart('/')}, or allow what is there with "
                    + "--allow-changed-files");
        }
    }

    /// <summary>Whether a file can be opened only once all tasks exist.</summary>
    public static bool IsLate(RestoreContext context, RegFileEntry file)
        => ProcessOf(file.Name) is int pid and not 0 && context.Tasks.Exists(task => task.Pid == pid);

    /// <summary>Opens a file of a process that is gone.</summary>
    /// <exception cref="RestoreConflictException">The process's id is taken.</exception>
    public static Fd OpenDead(RestoreContext context, uint pid, RegFileEntry file, OpenFlags flags)
    {
        if (context.OwnNamespace(CloneFlags.CLONE_NEWPID) is null)
        {
            return OpenEnded((int)pid, file, flags);
        }

        using Fd own = NamespaceVisit.Open(context.FirstPid, "pid");
        using Fd firns = NamespaceVisit.Open(Sys.GetPid(), "pid");
        Sys.SetNs(own.Number, CloneFlags.CLONE_NEWPID).OrThrow("setns(CLONE_NEWPID)");
        try
        {
            return OpenEnded((int)pid, file, flags);
        }
        finally
        {
            Sys.SetNs(firns.Number, CloneFlags.CLONE_NEWPID).OrThrow("setns(CLONE_NEWPID, home)");
        }
    }

    private static ulong? StartOf(string root, int pid)
    {
        try
        {
            string path = string.Create(CultureInfo.InvariantCulture, $"{root}{pid}/stat");
            return ProcStat.Parse(Encoding.UTF8.GetBytes(Sys.ReadText(path))).StartTime;
        }
        catch (LinuxException)
        {
            return null;
        }
    }

    private static Fd OpenEnded(int pid, RegFileEntry file, OpenFlags flags)
    {
        SysResult made = Kernel.CloneEnded(pid);
        if (made.Errno == Errno.EEXIST)
        {
            throw new RestoreConflictException(
                $"file {file.Name} (id {file.Id}) belongs to process {pid}, which was gone at the dump, and that id is taken now");
        }

        int ended = made.OrThrow($"clone3(set_tid {pid})").Int32;
        try
        {
            return Sys.Open(file.Name, flags);
        }
        finally
        {
            Sys.Wait4(ended, out _, WaitOptions.__WALL).OrThrow($"wait4({ended})");
        }
    }
}
