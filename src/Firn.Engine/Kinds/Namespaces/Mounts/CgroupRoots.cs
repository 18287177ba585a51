using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Cgroups;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Which group a mount of cgroups shows: the one that the tree is in now, where it showed the one that the tree was in.</summary>
internal sealed class CgroupRoots
{
    private readonly List<(string[] Controllers, string Before, string Now)> moved = [];

    /// <summary>Compares where the root task was with where it is.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="now">Where the root sits now, or is about to.</param>
    public CgroupRoots(RestoreContext context, List<CgroupMembership> now)
    {
        CoreEntry core = context.Tasks[0].Core;
        uint set = core.ThreadCore is { HasCgSet: true } thread ? thread.CgSet : core.Tc.CgSet;
        IEnumerable<CgMemberEntry> before = context.Images.All<CgroupEntry>(ImageKind.Cgroup).SelectMany(entry => entry.Sets)
            .Where(one => one.Id == set).SelectMany(one => one.Ctls);
        foreach (CgMemberEntry member in before)
        {
            if (now.Find(one => one.Name == member.Name) is { } here)
            {
                moved.Add((Words(member.Name), member.Path, here.Path));
            }
        }
    }

    /// <summary>Where a mount's root is now.</summary>
    /// <param name="options">The options of the file system: its controllers, or its name; none of version 2.</param>
    /// <param name="path">The root before, from the top of the hierarchy, without a slash before it.</param>
    public string Find(string options, string path)
    {
        string[] words = Words(options);
        foreach ((string[] controllers, string before, string now) in moved)
        {
            bool isOf = controllers.Length > 0
                ? controllers.All(words.Contains)
                : !words.Any(word => moved.Exists(one => one.Controllers.Contains(word)));
            if (isOf && PathText.Below("/" + path, before) is { } below)
            {
                return $"{now.Trim('/')}/{below}".Trim('/');
            }
        }

        return path;
    }

    private static string[] Words(string text) => text.Split(',', StringSplitOptions.RemoveEmptyEntries);
}
