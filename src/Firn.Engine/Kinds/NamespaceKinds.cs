using Firn.Engine.Kinds.Namespaces;
using Firn.Engine.Tree;

namespace Firn.Engine.Kinds;

/// <summary>The list of kinds of namespaces.</summary>
internal static class NamespaceKinds
{
    /// <summary>All kinds, in the order in which they act.</summary>
    /// <remarks>
    /// The order is bound: the user namespace owns all others; cgroup mounts show what the cgroup namespace is; links and sysctls are there
    /// before the mounts that may make /proc/sys read-only.
    /// </remarks>
    public static IReadOnlyList<NamespaceKind> All { get; } =
    [
        new UserNamespace(),
        new PidNamespace(),
        new TimeNamespace(),
        new CgroupNamespace(),
        new NetworkNamespace(),
        new IpcNamespace(),
        new UtsNamespace(),
        new MountNamespace(),
    ];
}
