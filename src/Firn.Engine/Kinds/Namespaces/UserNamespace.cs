using Firn.Engine.Checkpointing;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A user namespace. user_namespaces(7).</summary>
internal sealed class UserNamespace : NamespaceKind
{
    /// <inheritdoc/>
    public override string Name => "user";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWUSER;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.User;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.UserNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.UserNsId = id;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own) => Refuse(context, own);

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
        => throw new InvalidOperationException($"{Name} namespace {own.Inode} was refused, and is dumped all the same");
}
