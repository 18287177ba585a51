using System.Globalization;
using Firn.Linux.Procfs;

namespace Firn.Linux.Cgroups;

/// <summary>Where a task sits in one hierarchy of control groups: a line of /proc/PID/cgroup.</summary>
/// <param name="HierarchyId">The number of the hierarchy; 0 is the unified one, version 2.</param>
/// <param name="Name">Its controllers separated by commas, or <c>name=NAME</c>; empty for the unified one.</param>
/// <param name="Path">The path from the root of the reader's cgroup namespace; outside of it, it begins with <c>/..</c>.</param>
/// <remarks>Kernel: kernel/cgroup/cgroup.c, proc_cgroup_show(); cgroups(7).</remarks>
public sealed record CgroupMembership(int HierarchyId, string Name, string Path)
{
    private const string Deleted = " (deleted)";

    /// <summary>Whether this is the unified hierarchy, version 2.</summary>
    public bool IsUnified => Name.Length == 0;

    /// <summary>The controllers of the hierarchy.</summary>
    public IReadOnlyList<string> Controllers => Name.Split(',');

    /// <summary>Reads where a process, or one thread of it, sits.</summary>
    /// <param name="task">A pid, or a path as <c>7/task/8</c>.</param>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the task is gone.</exception>
    public static List<CgroupMembership> Read(string task)
        => Parse(System.Text.Encoding.UTF8.GetString(ProcFile.Read($"/proc/{task}/cgroup")));

    /// <inheritdoc cref="Read(string)"/>
    public static List<CgroupMembership> Read(int pid) => Read(pid.ToString(CultureInfo.InvariantCulture));

    /// <summary>Parses the text of /proc/PID/cgroup. A group that was removed is given by the path that it had.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static List<CgroupMembership> Parse(string text)
    {
        var memberships = new List<CgroupMembership>();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            int first = line.IndexOf(':', StringComparison.Ordinal);
            int second = first < 0 ? -1 : line.IndexOf(":/", first + 1, StringComparison.Ordinal);
            if (second < 0 || !int.TryParse(line.AsSpan(0, first), NumberStyles.None, CultureInfo.InvariantCulture, out int id))
            {
                throw new FormatException($"/proc/PID/cgroup: `{line}` is not HIERARCHY:CONTROLLERS:PATH");
            }

            string path = line[(second + 1)..];
            path = path.EndsWith(Deleted, StringComparison.Ordinal) ? path[..^Deleted.Length] : path;
            memberships.Add(new CgroupMembership(id, line[(first + 1)..second], path));
        }

        return memberships;
    }
}
