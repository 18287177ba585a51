namespace Firn.Engine;

/// <summary>What is done about control groups (`--manage-cgroups`). Names and numbers are CRIU's (criu_cg_mode of rpc.proto).</summary>
public enum CgroupMode
{
    /// <summary>Nothing: the tree stays in the groups of the Firn that restores it.</summary>
    Ignore = 0,

    /// <summary>Tasks go into their groups, which must exist; these are not changed.</summary>
    None = 1,

    /// <summary>The groups must exist; their properties are restored.</summary>
    Properties = 2,

    /// <summary>Groups that are absent are made, with their properties; others are not changed.</summary>
    Soft = 3,

    /// <summary>Groups that are absent are made; the properties of all are restored.</summary>
    Full = 4,

    /// <summary>All groups are made, with their properties; none may exist.</summary>
    Strict = 5,

    /// <summary>As <see cref="Soft"/>.</summary>
    Default = 6,
}

/// <summary>Where the groups of a hierarchy are to be found, or made, instead of where they were (`--cgroup-root`).</summary>
/// <param name="Controller">A controller of the hierarchy, `name=NAME`, or nothing for version 2; null for all hierarchies.</param>
/// <param name="Path">The path that takes the place of the root's.</param>
public sealed record CgroupRoot(string? Controller, string Path);
