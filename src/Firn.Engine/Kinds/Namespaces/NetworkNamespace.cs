using Firn.Engine.Checkpointing;
using Firn.Engine.Restoring;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A network namespace: made again, made empty, or joined. network_namespaces(7).</summary>
/// <remarks>
/// External (`--external net[INODE]:KEY`): its image holds the key, and the restore joins the namespace that is handed in for it. Empty
/// (`--empty-ns net`): somebody else fills it, as container engines do, so that it has no image; its loopback is as it was.
/// </remarks>
internal sealed class NetworkNamespace : NamespaceKind
{
    private const string ExternalType = "net";

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
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        if (External(context, own) is null && !IsEmpty(context.Options.EmptyNamespaces))
        {
            Refuse(context, own);
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        if (External(context, own) is { } external)
        {
            context.Images.Add(ImageKind.Netns, own.Id, new NetnsEntry { ExtKey = external.Value ?? external.ToString() });
            return;
        }

        using NamespaceVisit visit = own.Visit();
        using RouteNetlink network = RouteNetlink.Open();
        if (!network.ReadLinks().Exists(link => link.IsLoopback && link.IsUp))
        {
            context.Inventory.LoopbackDown = true;
        }
    }

    // ---- restore

    /// <inheritdoc/>
    public override void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
        if (context.Images.All<NetnsEntry>(ImageKind.Netns, own.Id).FirstOrDefault() is { HasExtKey: true } entry)
        {
            own.Joined = context.Files.MoveToRegion(OpenExternal(context.Options, entry.ExtKey));
            context.Files.State.Get<Restored>().Joined = own.Joined;
        }
    }

    /// <inheritdoc/>
    public override void ByController(RestoreContext context, RestoredNamespace own)
    {
        if (own.Joined is not null || context.Images.One<InventoryEntry>(ImageKind.Inventory).LoopbackDown)
        {
            return;
        }

        using RouteNetlink network = RouteNetlink.Open();
        foreach (LinkInfo loopback in network.ReadLinks().Where(link => link.IsLoopback && !link.IsUp))
        {
            network.SetFlags(loopback.Index, RouteConstants.IFF_UP, RouteConstants.IFF_UP);
        }
    }

    private static bool IsEmpty(CloneFlags empty) => (empty & CloneFlags.CLONE_NEWNET) != 0;

    private static ExternalResource? External(DumpContext context, DumpedNamespace own)
        => context.Options.External.Find(ExternalType, $"{own.Inode}");

    private static Fd OpenExternal(RestoreOptions options, string key)
        => options.InheritFd.TryGetValue(key, out int inherited)
            ? new Fd(Sys.Fcntl(inherited, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow($"fcntl({inherited}, F_DUPFD_CLOEXEC)").Int32)
            : options.External.Find(ExternalType, key)?.Value is { } path
                ? Sys.Open(path, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC)
                : throw new CheckpointException(
                    $"the tree's network namespace is somebody else's, and was not handed in: name it by --inherit-fd fd[N]:{key}")
                {
                    Phase = "prepare",
                };

    private sealed class Restored : IDisposable
    {
        public Fd? Joined { get; set; }

        public void Dispose() => Joined?.Dispose();
    }
}
