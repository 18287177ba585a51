using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A uts namespace: the names of host and domain. uts_namespaces(7).</summary>
internal sealed class UtsNamespace : NamespaceKind
{
    /// <inheritdoc/>
    public override string Name => "uts";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWUTS;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Uts;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.UtsNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.UtsNsId = id;

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        using NamespaceVisit visit = own.Visit();
        Sys.UtsNames(out string node, out string domain).OrThrow("uname");
        context.Images.Add(ImageKind.Utsns, own.Id, new UtsnsEntry { Nodename = node, Domainname = domain });
    }

    // ---- restore

    /// <inheritdoc/>
    public override void ByController(RestoreContext context, RestoredNamespace own)
    {
        var names = context.Images.One<UtsnsEntry>(ImageKind.Utsns, own.Id);
        Sys.SetHostName(names.Nodename).OrThrow($"sethostname({names.Nodename})");
        Sys.SetDomainName(names.Domainname).OrThrow($"setdomainname({names.Domainname})");
    }
}
