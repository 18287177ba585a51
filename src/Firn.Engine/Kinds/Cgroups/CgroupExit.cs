using System.Globalization;
using Firn.Linux;
using Firn.Linux.Cgroups;
using Firn.Linux.Procfs;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Cgroups;

/// <summary>Firn's way out of the control groups of a container.</summary>
/// <remarks>
/// runc puts the process that is to restore a container into the container's groups. There Firn's memory and threads would count, its
/// limits would hold for Firn, and freezing the group would freeze Firn with it.
/// </remarks>
internal static class CgroupExit
{
    /// <summary>Moves Firn to where its parent sits, in each hierarchy where it was put elsewhere.</summary>
    /// <returns>Where Firn sat, for each hierarchy that it has left: what it makes belongs there.</returns>
    public static Dictionary<string, string> Leave(ILogger log)
    {
        Dictionary<string, string> left = [];
        List<CgroupMembership> parents = CgroupMembership.Read(ProcStat.Read(Sys.GetPid()).ParentPid);
        List<CgroupHierarchy>? hierarchies = null;
        foreach (CgroupMembership own in CgroupMembership.Read("self"))
        {
            string? target = parents.Find(its => its.Name == own.Name)?.Path;
            if (target is null || target == own.Path)
            {
                continue;
            }

            hierarchies ??= CgroupHierarchy.FindMounted();
            string? directory = hierarchies.Find(hierarchy => hierarchy.Name == own.Name)?.DirectoryOf(target);
            SysResult? result = directory is null
                ? null
                : new Cgroup(directory).TryWrite("cgroup.procs", Sys.GetPid().ToString(CultureInfo.InvariantCulture));
            if (result is { IsError: false })
            {
                left.Add(own.Name, own.Path);
            }
            else
            {
                log.LogWarning("firn stays in the container's cgroup {Name}:{Path}: {Errno}", own.Name, own.Path, result?.Errno);
            }
        }

        return left;
    }
}
