using Firn.Engine.Kinds.Cgroups;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A cgroup namespace. cgroup_namespaces(7).</summary>
internal sealed class CgroupNamespace : NamespaceKind
{
    /// <inheritdoc/>
    public override string Name => "cgroup";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWCGROUP;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Cgroup;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.CgroupNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.CgroupNsId = id;

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        // All there is to it is its root in each hierarchy: cgns_prefix of the sets in cgroup.img (CgroupPlaces).
    }

    // ---- restore

    /// <inheritdoc/>
    public override Action BeforeNested(RestoreContext context, RestoredNamespace own, Remote first)
        => CgroupTree.Of(context).PlaceForNested(first.Tracee.Tid, own);

    /// <inheritdoc/>
    /// <remarks>unshare(2) takes the groups where the root sits as the roots; by clone3(2) they would be Firn's, in version 1.</remarks>
    public override bool IsMadeByClone => false;

    /// <inheritdoc/>
    public override void InRoot(RestoreContext context, RestoredNamespace own, Remote root)
    {
        if (context.Nested.Contains(own))
        {
            return;
        }

        root.Batch.Call(Sysno.unshare, (long)CloneFlags.CLONE_NEWCGROUP);
        root.Batch.Run("cgroup namespace");
        CgroupTree.Of(context).PlaceRootWithin(root.Tracee.Tid);
    }
}
