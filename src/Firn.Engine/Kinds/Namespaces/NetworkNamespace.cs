using Firn.Engine.Kinds.Namespaces.Network;
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
        if (External(context, own) is not null || IsEmpty(context.Options.EmptyNamespaces))
        {
            return;
        }

        using NamespaceVisit visit = own.Visit();
        using RouteNetlink network = RouteNetlink.Open();
        NetworkDevices.Examine(context, own, network);
        NetworkRefusals.Examine(context, own, network);
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
        if (IsEmpty(context.Options.EmptyNamespaces))
        {
            if (!network.ReadLinks().Exists(link => link.IsLoopback && link.IsUp))
            {
                context.Inventory.LoopbackDown = true;
            }

            return;
        }

        var entry = new NetnsEntry();
        NetworkSettings.Read(entry);
        NetworkTables.Dump(context, own, network, entry);
        NetworkDevices.Dump(context, own, network);
        PacketFilters.Dump(context, own, entry);
        context.Images.Add(ImageKind.Netns, own.Id, entry);
    }

    // ---- restore

    /// <inheritdoc/>
    public override void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
        Restored restored = context.Files.State.Get<Restored>();
        restored.Entry = context.Images.All<NetnsEntry>(ImageKind.Netns, own.Id).FirstOrDefault();
        if (restored.Entry is { HasExtKey: true } entry)
        {
            own.Joined = restored.Joined = context.Files.MoveToRegion(OpenExternal(context.Options, entry.ExtKey));
        }
        else if (IsEmpty(context.Options.EmptyNamespaces))
        {
            restored.Entry = null;
        }
        else
        {
            restored.Outside = RouteNetlink.Open();
            restored.Home = Sys.Open("/proc/thread-self/ns/net", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        }
    }

    /// <inheritdoc/>
    public override void ByController(RestoreContext context, RestoredNamespace own)
    {
        if (own.Joined is not null)
        {
            return;
        }

        using RouteNetlink network = RouteNetlink.Open();
        Restored restored = context.Files.State.Get<Restored>();
        if (restored.Entry is { } entry)
        {
            List<NetDeviceEntry> saved = [.. context.Images.All<NetDeviceEntry>(ImageKind.Netdev, own.Id)];
            var devices = new NetworkDevices(context, own, network, restored.Outside!, restored.Home!);
            NetworkSettings.Write(context.Log, entry);
            devices.Make(saved);
            NetworkTables.RestoreAddresses(context, own, network);
            devices.SetUp(saved);
            NetworkTables.RestoreRoutes(context, own, network, entry);
            PacketFilters.Restore(context, own, entry);
            NetworkSettings.WriteProbing(context.Log, entry, saved);
        }
        else if (!context.Images.One<InventoryEntry>(ImageKind.Inventory).LoopbackDown)
        {
            foreach (LinkInfo loopback in network.ReadLinks().Where(link => link.IsLoopback))
            {
                network.SetFlags(loopback.Index, RouteConstants.IFF_UP, RouteConstants.IFF_UP);
            }
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
        public NetnsEntry? Entry { get; set; }

        public Fd? Joined { get; set; }

        public RouteNetlink? Outside { get; set; }

        public Fd? Home { get; set; }

        public void Dispose()
        {
            Joined?.Dispose();
            Outside?.Dispose();
            Home?.Dispose();
        }
    }
}
