using Firn.Engine.Kinds.Cgroups;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <content>Mounts of control groups that the task may not make itself.</content>
internal sealed partial class MountTree
{
    // Who mounts cgroups must have rights in the cgroup namespace (kernel/cgroup/cgroup-v1.c, cgroup1_get_tree()), and the root of a user
    // namespace has none in Firn's. A tree without one of its own had them from outside, and so they come from there again.
    private bool HasCgroupsOfHost
        => context.OwnNamespace(CloneFlags.CLONE_NEWUSER) is not null && context.OwnNamespace(CloneFlags.CLONE_NEWCGROUP) is null;

    private void OpenCgroupsOfHost()
    {
        if (!HasCgroupsOfHost)
        {
            return;
        }

        Dictionary<string, string> places = CgroupTree.Of(context).PlacesOfRoot();
        List<CgroupMembership> now = [.. CgroupMembership.Read("self")
            .Select(own => own with { Path = places.GetValueOrDefault(own.Name, own.Path) })];
        cgroups = new CgroupRoots(context, now);
        List<CgroupHierarchy> hierarchies = CgroupDirectories.Hierarchies(context.Options.CgroupYard, now);
        foreach (MakeFileSystem make in plan.Sources.OfType<MakeFileSystem>().Where(make => make.Type is "cgroup" or "cgroup2"))
        {
            string[] words = make.Options.Split(',');
            CgroupHierarchy? hierarchy = hierarchies.Find(
                its => make.Type == "cgroup2" ? its.IsUnified : !its.IsUnified && its.Name.Split(',').All(words.Contains));
            if (plan.Assembly.OfType<Attach>().Any(attach => attach.Mount == make.Handle))
            {
                OpenOfHost(make, make.Handle, hierarchy, string.Empty);
            }

            foreach (CopyTree copy in plan.Assembly.OfType<CopyTree>().Where(copy => copy.From == make.Handle))
            {
                OpenOfHost(make, copy.To, hierarchy, cgroups.Find(make.Options, copy.Path));
            }
        }
    }

    private void OpenOfHost(MakeFileSystem make, int handle, CgroupHierarchy? hierarchy, string path)
    {
        string directory = hierarchy?.DirectoryOf("/" + path)
            ?? throw new CheckpointException(
                $"cgroup /{path} of {make.Type} ({make.Options}) is mounted in the tree, whose root can't mount it again by itself, and "
                    + "it is not to be found here; mount the hierarchy, or give the container a cgroup namespace of its own")
            {
                Phase = "prepare",
            };
        Keep(handle, At.AT_FDCWD, directory, null, MountFlags.MS_PRIVATE);
    }

    // Firn has made it; the task has nothing to do.
    private bool IsOfHost(MountStep step) => step switch
    {
        MakeFileSystem { Type: "cgroup" or "cgroup2" } => HasCgroupsOfHost,
        CopyTree copy => outside.ContainsKey(copy.To),
        _ => false,
    };
}
