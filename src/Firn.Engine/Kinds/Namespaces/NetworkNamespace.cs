using Firn.Engine.Checkpointing;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A network namespace. network_namespaces(7).</summary>
internal sealed class NetworkNamespace : NamespaceKind
{
    /// <inheritdoc/>
    public override string Name => "net";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWNET;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Network;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.NetNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.NetNsId = id;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own) => Refuse(context, own);

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
        => throw new InvalidOperationException($"{Name} namespace {own.Inode} was refused, and is dumped all the same");
}
