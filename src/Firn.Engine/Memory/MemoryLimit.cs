using System.Globalization;
using Firn.Linux;
using Firn.Linux.Cgroups;

namespace Firn.Engine.Memory;

/// <summary>Whether what a task writes counts towards a limit that does not hold for Firn.</summary>
/// <remarks>
/// The page cache of a file is charged to the memory cgroup of the task that makes the pages: a task that writes its own pages into an image
/// file on a tmpfs is killed for it (200 MiB, limit 256: after 32 to 56 MiB). Kernel: mm/memcontrol.c.
/// </remarks>
internal sealed class MemoryLimit
{
    // What version 1 says where there is none: PAGE_COUNTER_MAX in bytes.
    private const long None = long.MaxValue >> 12 << 12;

    private readonly CgroupMembership? own = Find("self");
    private readonly Dictionary<string, bool> known = [];
    private CgroupHierarchy? hierarchy;

    /// <summary>Whether a group of the task's, which isn't one of Firn's, has a limit.</summary>
    public bool Concerns(int pid)
    {
        if (Find($"{pid}") is not { } its || own is null || its.Path == own.Path)
        {
            return false;
        }

        if (!known.TryGetValue(its.Path, out bool isLimited))
        {
            hierarchy ??= CgroupHierarchy.FindMounted().Find(mounted => mounted.Name == its.Name);

            // Where the groups can't be looked at, the worst is assumed.
            isLimited = hierarchy is null || IsLimited(hierarchy, its.Path);
            known.Add(its.Path, isLimited);
        }

        return isLimited;
    }

    private static CgroupMembership? Find(string task)
    {
        List<CgroupMembership> all = CgroupMembership.Read(task);
        return all.Find(its => its.Controllers.Contains("memory")) ?? all.Find(its => its.IsUnified);
    }

    private bool IsLimited(CgroupHierarchy mounted, string path)
    {
        for (string above = path; above.Length > 1 && !IsFirns(above); above = above[..above.LastIndexOf('/')])
        {
            if (mounted.DirectoryOf(above) is not string directory)
            {
                return true;
            }

            var group = new Cgroup(directory);
            foreach (string file in (ReadOnlySpan<string>)["memory.limit_in_bytes", "memory.max", "memory.high"])
            {
                if (group.Has(file) && long.TryParse(group.Read(file).Trim(), CultureInfo.InvariantCulture, out long limit) && limit < None)
                {
                    return true;
                }
            }
        }

        return false;
    }

    private bool IsFirns(string path) => own!.Path == path || own.Path.StartsWith(path + "/", StringComparison.Ordinal);
}
