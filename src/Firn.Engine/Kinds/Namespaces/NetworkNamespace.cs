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

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        if (External(context, own) is not null || IsEmpty(context.Options.EmptyNamespaces, own.IsNested))
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
        if (IsEmpty(context.Options.EmptyNamespaces, own.IsNested))
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
        foreach (DumpedNamespace other in context.Of(Flag).Where(other => other != own && !other.IsFirns))
        {
            using Fd there = other.Open();
            if (network.NumberOf(there) is >= 0 and int number)
            {
                entry.Nsids.Add(new NetnsId { TargetNsId = other.Id, NetnsidValue = number });
            }
        }

        NetworkDevices.Dump(context, own, network, entry.Nsids);
        PacketFilters.Dump(context, own, entry);
        context.Images.Add(ImageKind.Netns, own.Id, entry);
    }

    // ---- restore

    /// <inheritdoc/>
    public override void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
        Restored restored = context.Files.State.Get<Restored>();
        NetnsEntry? saved = context.Images.All<NetnsEntry>(ImageKind.Netns, own.Id).FirstOrDefault();
        if (saved is { HasExtKey: true } entry)
        {
            own.Joined = context.Files.MoveToRegion(OpenExternal(context.Options, entry.ExtKey));
            restored.Joined.Add(own.Joined);
            return;
        }

        restored.Fillings.Add(new Filling(
            own, IsEmpty(context.Options.EmptyNamespaces, context.Nested.Contains(own)) ? null : saved));
        if (restored.Fillings[^1].Entry is not null)
        {
            restored.Outside ??= RouteNetlink.Open();
            restored.Home ??= Sys.Open("/proc/thread-self/ns/net", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        }
    }

    /// <inheritdoc/>
    /// <remarks>Devices come in pairs, with an end in each of two namespaces: all are filled when the last one is there.</remarks>
    public override void ByController(RestoreContext context, RestoredNamespace own)
    {
        Restored restored = context.Files.State.Get<Restored>();
        if (restored.Fillings.Find(filling => filling.Own == own) is not { } here)
        {
            return;
        }

        here.Network = RouteNetlink.Open();
        if (here.Entry is null)
        {
            SetUpLoopback(context, here);
        }

        if (restored.Fillings.Count > 1)
        {
            here.Way = Sys.Open("/proc/thread-self/ns/net", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        }

        if (restored.Fillings.TrueForAll(filling => filling.Network is not null))
        {
            Fill(context, restored, [.. restored.Fillings.Where(filling => filling.Entry is not null)]);
        }
    }

    private static void Fill(RestoreContext context, Restored restored, List<Filling> fillings)
    {
        var peers = new NetworkPeers();
        foreach (Filling filling in fillings)
        {
            filling.Saved.AddRange(context.Images.All<NetDeviceEntry>(ImageKind.Netdev, filling.Own.Id));
            if (filling.Way is { } way)
            {
                peers.ById.Add(filling.Own.Id, (way, filling.Saved));
            }
        }

        ForEach(fillings, filling =>
        {
            NetworkSettings.Write(context.Log, filling.Entry!);
            foreach (NetnsId number in filling.Entry!.Nsids)
            {
                if (peers.ById.TryGetValue(number.TargetNsId, out (Fd Namespace, List<NetDeviceEntry>) other))
                {
                    _ = filling.Network!.SetNumberOf(other.Namespace, number.NetnsidValue);
                }
            }

            filling.Devices = new NetworkDevices(
                context, filling.Own, filling.Network!, restored.Outside!, restored.Home!, peers);
            filling.Devices.Make(filling.Saved);
        });
        ForEach(fillings, filling =>
        {
            NetworkTables.RestoreAddresses(context, filling.Own, filling.Network!);
            filling.Devices!.SetUp(filling.Saved);
        });
        ForEach(fillings, filling =>
        {
            NetworkTables.RestoreRoutes(context, filling.Own, filling.Network!, filling.Entry!);
            PacketFilters.Restore(context, filling.Own, filling.Entry!);
            NetworkSettings.WriteProbing(context.Log, filling.Entry!, filling.Saved);
        });
    }

    private static void ForEach(List<Filling> fillings, Action<Filling> work)
    {
        foreach (Filling filling in fillings)
        {
            using NamespaceVisit? visit = filling.Way is { } way ? NamespaceVisit.Enter(way, CloneFlags.CLONE_NEWNET) : null;
            work(filling);
        }
    }

    private static void SetUpLoopback(RestoreContext context, Filling empty)
    {
        if (context.Images.One<InventoryEntry>(ImageKind.Inventory).LoopbackDown)
        {
            return;
        }

        foreach (LinkInfo loopback in empty.Network!.ReadLinks().Where(link => link.IsLoopback))
        {
            empty.Network.SetFlags(loopback.Index, RouteConstants.IFF_UP, RouteConstants.IFF_UP);
        }
    }

    // Whoever fills the root's namespace doesn't know of nested ones.
    private static bool IsEmpty(CloneFlags empty, bool isNested) => !isNested && (empty & CloneFlags.CLONE_NEWNET) != 0;

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

    private sealed record Filling(RestoredNamespace Own, NetnsEntry? Entry)
    {
        public List<NetDeviceEntry> Saved { get; } = [];

        public RouteNetlink? Network { get; set; }

        public NetworkDevices? Devices { get; set; }

        public Fd? Way { get; set; }
    }

    private sealed class Restored : IDisposable
    {
        public List<Filling> Fillings { get; } = [];

        public List<Fd> Joined { get; } = [];

        public RouteNetlink? Outside { get; set; }

        public Fd? Home { get; set; }

        public void Dispose()
        {
            Joined.ForEach(fd => fd.Dispose());
            foreach (Filling filling in Fillings)
            {
                filling.Network?.Dispose();
                filling.Way?.Dispose();
            }

            Outside?.Dispose();
            Home?.Dispose();
        }
    }
}
