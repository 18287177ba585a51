using System.Globalization;
using System.Text;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Linux.Cgroups;

/// <summary>One control group: a directory of a mounted hierarchy.</summary>
/// <remarks>Kernel: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst.</remarks>
public sealed record Cgroup(string Directory)
{
    /// <summary>The processes of the group itself; 0 stands for one that this pid namespace does not see.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT if the group is gone, EOPNOTSUPP if it is threaded.</exception>
    public List<int> Processes()
    {
        List<int> pids = [];
        foreach (string line in Read("cgroup.procs").Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            pids.Add(int.Parse(line, CultureInfo.InvariantCulture));
        }

        return pids;
    }

    /// <summary>The group and all below it, parents first.</summary>
    public List<Cgroup> Subtree()
    {
        List<Cgroup> groups = [this];
        for (int i = 0; i < groups.Count; i++)
        {
            groups.AddRange(groups[i].Children());
        }

        return groups;
    }

    /// <summary>The groups right below this one, by name.</summary>
    public IEnumerable<Cgroup> Children()
    {
        try
        {
            return [.. System.IO.Directory.GetDirectories(Directory).Order(StringComparer.Ordinal).Select(path => new Cgroup(path))];
        }
        catch (DirectoryNotFoundException)
        {
            // Removed while this looked.
            return [];
        }
    }

    /// <summary>The processes of the group and of all below it.</summary>
    public List<int> AllProcesses()
    {
        List<int> pids = [];
        foreach (Cgroup group in Subtree())
        {
            try
            {
                pids.AddRange(group.Processes());
            }
            catch (LinuxException exception) when (exception.Errno is Errno.ENOENT or Errno.ENODEV or Errno.EOPNOTSUPP)
            {
                // Removed meanwhile; or threaded: its processes are listed above it, at the root of its domain.
                continue;
            }
        }

        return pids;
    }

    /// <summary>Whether the group has a file.</summary>
    public bool Has(string file) => !Sys.AccessAt(At.AT_FDCWD, PathOf(file), 0).IsError;

    /// <summary>Reads a file whole.</summary>
    /// <exception cref="LinuxException">It can't be read.</exception>
    public string Read(string file) => Encoding.UTF8.GetString(ProcFile.Read(PathOf(file)));

    /// <summary>Writes a file by one call; gives -errno if the kernel refuses.</summary>
    public SysResult TryWrite(string file, string value)
    {
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, PathOf(file), OpenFlags.O_WRONLY | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return opened;
        }

        using var fd = new Fd(opened.Int32);
        return Sys.Write(fd.Number, Encoding.UTF8.GetBytes(value));
    }

    /// <summary>Writes a file by one call.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Write(string file, string value) => TryWrite(file, value).OrThrow($"write({PathOf(file)}, \"{value}\")");

    /// <summary>Moves a process with all its threads into the group.</summary>
    /// <exception cref="LinuxException">The kernel refuses: ENOSPC where a cpuset is empty, EBUSY where version 2 allows no
    /// tasks.</exception>
    public void Enter(int pid) => Write("cgroup.procs", pid.ToString(CultureInfo.InvariantCulture));

    /// <summary>The path of a file of the group.</summary>
    public string PathOf(string file) => $"{Directory}/{file}";

    /// <inheritdoc/>
    public override string ToString() => Directory;
}
