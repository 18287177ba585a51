using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>Devices of the network namespace that the thread is in. rtnetlink(7).</summary>
/// <remarks>
/// Each keeps its index, its name and its address. What is of CRIU's format stands there; the kernel's own message about the device beside
/// it has the rest.
/// </remarks>
internal sealed class NetworkDevices(
    RestoreContext context, RestoredNamespace own, RouteNetlink network, RouteNetlink outside, Fd home, NetworkPeers peers)
{
    private const uint KeptFlags = RouteConstants.IFF_NOARP | RouteConstants.IFF_PROMISC | RouteConstants.IFF_ALLMULTI
        | RouteConstants.IFF_MULTICAST;

    // Those that each new namespace has, if the kernel knows their kind.
    private static readonly string[] Fallbacks =
    [
        "tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0",
    ];

    // What a bridge lets be set when it is made; all else it only tells (net/bridge/br_netlink.c, br_policy).
    private static readonly ushort[] OfBridge =
    [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 22, 23, 24, 25, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 41, 42, 43, 44, 45, 46,
    ];

    /// <summary>Adds what can't be made again to the problems.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own, RouteNetlink network)
    {
        foreach (LinkInfo link in network.ReadLinks().Where(link => TypeOf(link) is null && !IsFallback(link)))
        {
            context.Problems.Add(
                "net-device",
                own.Member.Pid,
                $"network device {link.Name}{(link.Kind.Length == 0 ? string.Empty : $" of kind {link.Kind}")}",
                "devices of this kind can't be saved yet",
                "delete it, or let somebody else fill the namespace (--empty-ns net), or keep it (--external net[INODE]:KEY)");
        }
    }

    /// <summary>Adds the images.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own, RouteNetlink network, IReadOnlyList<NetnsId> others)
    {
        foreach (LinkInfo link in network.ReadLinks().Where(link => !IsFallback(link)))
        {
            var entry = new NetDeviceEntry
            {
                Type = TypeOf(link) ?? throw new InvalidOperationException($"device {link.Name} was refused, and is dumped all the same"),
                Ifindex = (uint)link.Index,
                Mtu = link.Number(RouteConstants.IFLA_MTU) ?? 0,
                Flags = link.Flags,
                Name = link.Name,
                PeerIfindex = link.Link ?? (uint)link.Index,
                Link = ByteString.CopyFrom(link.Message.Span),
            };
            if (!link.HasLinkOutside)
            {
                entry.PeerNsid = own.Id;
            }
            else if (link.Number(RouteConstants.IFLA_LINK_NETNSID) is { } number
                && others.FirstOrDefault(other => other.NetnsidValue == (int)number) is { } other)
            {
                entry.PeerNsid = other.TargetNsId;
            }

            if (!link.IsLoopback && link.Attribute(RouteConstants.IFLA_ADDRESS) is { Length: > 0 } address)
            {
                entry.Address = ByteString.CopyFrom(address.Span);
            }

            if (link.Master != 0)
            {
                entry.Master = link.Master;
            }

            if (entry.Type == NdType.Macvlan)
            {
                entry.Macvlan = new MacvlanLinkEntry
                {
                    Mode = BinaryPrimitives.ReadUInt32LittleEndian(link.Data(RouteConstants.IFLA_MACVLAN_MODE).Span),
                    Flags = BinaryPrimitives.ReadUInt16LittleEndian(link.Data(RouteConstants.IFLA_MACVLAN_FLAGS).Span),
                };
            }

            if (entry.Type == NdType.Tun)
            {
                entry.Tun = TunLinks.Dump(context, link);
            }

            NetworkSettings.Read(entry);
            context.Images.Add(ImageKind.Netdev, own.Id, entry);
        }
    }

    /// <summary>Makes devices, with their settings; all but the loopback are down yet.</summary>
    public void Make(List<NetDeviceEntry> devices)
    {
        // One on top of another comes after it; the two ends of a pair are one.
        List<NetDeviceEntry> waiting = [.. devices];
        while (waiting.Count > 0)
        {
            NetDeviceEntry device = waiting.Find(device =>
                    device.Type != NdType.Macvlan || !IsInside(device) || peers.Made.Contains((own.Id, device.PeerIfindex)))
                ?? throw Bad($"device {waiting[0].Name} lies on one that is not there");
            waiting.Remove(device);
            if (peers.Made.Add((own.Id, device.Ifindex)) && device.Type != NdType.Loopback)
            {
                Make(device, devices);
            }
        }

        foreach (NetDeviceEntry device in devices)
        {
            NetworkSettings.Write(context.Log, device);

            // Its own addresses come with it, and have no routes, as others would.
            if (device.Type == NdType.Loopback)
            {
                network.SetFlags((int)device.Ifindex, device.Flags & RouteConstants.IFF_UP, RouteConstants.IFF_UP);
            }
        }
    }

    /// <summary>Joins ports to their masters, and sets devices up that were.</summary>
    public void SetUp(List<NetDeviceEntry> devices)
    {
        foreach (NetDeviceEntry device in devices.Where(device => device.HasMaster))
        {
            Request(
                network,
                new NetlinkMessage(RouteConstants.RTM_NEWLINK)
                    .Header(new Ifinfomsg { ifi_index = (int)device.Ifindex })
                    .Add(RouteConstants.IFLA_MASTER, device.Master),
                $"port {device.Name}");
        }

        foreach (NetDeviceEntry device in devices)
        {
            const uint Mask = KeptFlags | RouteConstants.IFF_UP;
            network.SetFlags((int)device.Ifindex, device.Flags & Mask, Mask);
        }
    }

    private static NdType? TypeOf(LinkInfo link) => link.Kind switch
    {
        _ when link.IsLoopback => NdType.Loopback,
        "veth" => NdType.Veth,
        "bridge" => NdType.Bridge,
        "macvlan" => NdType.Macvlan,
        "tun" => NdType.Tun,
        "dummy" or "ifb" => NdType.Extlink,
        _ => null,
    };

    private static bool IsFallback(LinkInfo link) => !link.IsUp && Fallbacks.Contains(link.Name);

    private bool IsElsewhere(NetDeviceEntry device, out Fd there, out NetDeviceEntry? peer)
    {
        there = home;
        peer = null;
        if (!device.HasPeerNsid || device.PeerNsid == own.Id
            || !peers.ById.TryGetValue(device.PeerNsid, out (Fd Namespace, List<NetDeviceEntry> Devices) other))
        {
            return false;
        }

        there = other.Namespace;
        peer = other.Devices.Find(end => end.Ifindex == device.PeerIfindex);
        return peer is not null;
    }

    private bool IsInside(NetDeviceEntry device) => device.HasPeerNsid && device.PeerNsid == own.Id && device.PeerIfindex != device.Ifindex;

    private void Make(NetDeviceEntry device, List<NetDeviceEntry> all)
    {
        LinkInfo? link = device.HasLink ? LinkInfo.Parse(device.Link.Span) : null;
        switch (device.Type)
        {
            case NdType.Veth:
                MakeVeth(device, link, all);
                break;
            case NdType.Bridge:
                MakeBridge(device, link);
                break;
            case NdType.Macvlan:
                MakeMacvlan(device, link);
                break;
            case NdType.Tun when device.Tun is not null:
                TunLinks.Make(device);
                NetlinkMessage settings = new NetlinkMessage(RouteConstants.RTM_NEWLINK)
                    .Header(new Ifinfomsg { ifi_index = (int)device.Ifindex });
                AddCommon(settings, device, link);
                Request(network, settings, $"tun {device.Name}");
                break;
            case NdType.Extlink when link is { Kind.Length: > 0 }:
                Request(
                    network,
                    Begin(device, link).Nest(RouteConstants.IFLA_LINKINFO, info => info.Add(RouteConstants.IFLA_INFO_KIND, link.Kind)),
                    $"{link.Kind} {device.Name}");
                break;
            default:
                throw Bad($"network device {device.Name} is of the type {device.Type}, and such devices can't be restored yet");
        }
    }

    private void MakeVeth(NetDeviceEntry device, LinkInfo? link, List<NetDeviceEntry> all)
    {
        NetDeviceEntry? peer = IsInside(device) ? all.Find(other => other.Ifindex == device.PeerIfindex) : null;
        bool isElsewhere = IsElsewhere(device, out Fd there, out NetDeviceEntry? far);
        peer ??= far;
        string[] outer = context.Options.External.Find("veth", device.Name)?.Value?.Split('@') ?? [];
        Request(
            network,
            Begin(device, link).Nest(RouteConstants.IFLA_LINKINFO, info => info
                .Add(RouteConstants.IFLA_INFO_KIND, "veth")
                .Nest(RouteConstants.IFLA_INFO_DATA, data => data.Nest(RouteConstants.VETH_INFO_PEER, end =>
                {
                    if (peer is not null)
                    {
                        end.Header(new Ifinfomsg { ifi_index = (int)peer.Ifindex });
                        AddCommon(end, peer, peer.HasLink ? LinkInfo.Parse(peer.Link.Span) : null);
                        if (isElsewhere)
                        {
                            end.Add(RouteConstants.IFLA_NET_NS_FD, (uint)there.Number);
                        }

                        return;
                    }

                    end.Header(default(Ifinfomsg)).Add(RouteConstants.IFLA_NET_NS_FD, (uint)home.Number);
                    if (outer.Length > 0)
                    {
                        end.Add(RouteConstants.IFLA_IFNAME, outer[0]);
                    }
                }))),
            $"veth {device.Name}");
        if (peer is not null)
        {
            peers.Made.Add((isElsewhere ? device.PeerNsid : own.Id, peer.Ifindex));
        }
        else
        {
            SetUpOutside(device, outer);
        }
    }

    // The other end of a pair is Firn's business only if it was named; else it has a name of the kernel's choice.
    private void SetUpOutside(NetDeviceEntry device, string[] outer)
    {
        if (outer.Length == 0)
        {
            context.Log.LogWarning(
                "the outer end of {Name} is left as the kernel has made it: name it by --external veth[{Name}]:OUTSIDE[@BRIDGE]",
                device.Name,
                device.Name);
            return;
        }

        List<LinkInfo> links = outside.ReadLinks();
        LinkInfo end = links.Find(link => link.Name == outer[0]) ?? throw Bad($"the outer end {outer[0]} of {device.Name} was not made");
        if (outer.Length > 1)
        {
            LinkInfo bridge = links.Find(link => link.Name == outer[1])
                ?? throw Bad($"there is no bridge {outer[1]}, which --external veth[{device.Name}] names");
            Request(
                outside,
                new NetlinkMessage(RouteConstants.RTM_NEWLINK)
                    .Header(new Ifinfomsg { ifi_index = end.Index })
                    .Add(RouteConstants.IFLA_MASTER, bridge.Index),
                $"port {end.Name} of {bridge.Name}");
        }

        outside.SetFlags(end.Index, RouteConstants.IFF_UP, RouteConstants.IFF_UP);
    }

    // Set is what a new one has otherwise: of the rest, some is only there to be read, by what the kernel was built with.
    private void MakeBridge(NetDeviceEntry device, LinkInfo? link)
    {
        Request(
            network,
            Begin(device, link).Nest(RouteConstants.IFLA_LINKINFO, info => info.Add(RouteConstants.IFLA_INFO_KIND, "bridge")),
            $"bridge {device.Name}");
        if (link is null || network.ReadLinks().Find(other => other.Index == device.Ifindex) is not { } made)
        {
            return;
        }

        foreach (ushort type in OfBridge.Where(type
            => !link.Data(type).Span.SequenceEqual(made.Data(type).Span) && !link.Data(type).IsEmpty))
        {
            Request(
                network,
                new NetlinkMessage(RouteConstants.RTM_NEWLINK)
                    .Header(new Ifinfomsg { ifi_index = made.Index })
                    .Nest(RouteConstants.IFLA_LINKINFO, info => info
                        .Add(RouteConstants.IFLA_INFO_KIND, "bridge")
                        .Nest(RouteConstants.IFLA_INFO_DATA, data => data.Add(type, link.Data(type).Span))),
                $"attribute {type} of bridge {device.Name}");
        }
    }

    private void MakeMacvlan(NetDeviceEntry device, LinkInfo? link)
    {
        MacvlanLinkEntry macvlan = device.Macvlan ?? throw Bad($"device {device.Name} has no mode; the image is damaged: dump again");
        bool isInside = IsInside(device);
        using RouteNetlink? elsewhere = !isInside && IsElsewhere(device, out Fd there, out _) ? OpenIn(there) : null;
        uint below = isInside || elsewhere is not null ? device.PeerIfindex : OuterIndex(device);
        using Fd here = Sys.Open("/proc/thread-self/ns/net", OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        NetlinkMessage message = Begin(device, link)
            .Add(RouteConstants.IFLA_LINK, below)
            .Nest(RouteConstants.IFLA_LINKINFO, info => info
                .Add(RouteConstants.IFLA_INFO_KIND, "macvlan")
                .Nest(RouteConstants.IFLA_INFO_DATA, data =>
                {
                    data.Add(RouteConstants.IFLA_MACVLAN_MODE, macvlan.Mode);
                    if (macvlan.HasFlags)
                    {
                        data.Add(RouteConstants.IFLA_MACVLAN_FLAGS, (ushort)macvlan.Flags);
                    }
                }));
        if (!isInside)
        {
            message.Add(RouteConstants.IFLA_NET_NS_FD, (uint)here.Number);
        }

        Request(isInside ? network : elsewhere ?? outside, message, $"macvlan {device.Name}");
    }

    private static RouteNetlink OpenIn(Fd there)
    {
        using NamespaceVisit visit = NamespaceVisit.Enter(there, CloneFlags.CLONE_NEWNET);
        return RouteNetlink.Open();
    }

    private uint OuterIndex(NetDeviceEntry device)
    {
        string outer = context.Options.External.Find("macvlan", device.Name)?.Value
            ?? throw Bad($"macvlan {device.Name} lies on a device outside: name it by --external macvlan[{device.Name}]:DEVICE");
        return (uint)(outside.ReadLinks().Find(link => link.Name == outer)
            ?? throw Bad($"there is no device {outer}, which --external macvlan[{device.Name}] names")).Index;
    }

    private static NetlinkMessage Begin(NetDeviceEntry device, LinkInfo? link)
    {
        const ushort New = NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_EXCL;
        NetlinkMessage message = new NetlinkMessage(RouteConstants.RTM_NEWLINK, New)
            .Header(new Ifinfomsg { ifi_index = (int)device.Ifindex });
        AddCommon(message, device, link);
        return message;
    }

    private static void AddCommon(NetlinkMessage message, NetDeviceEntry device, LinkInfo? link)
    {
        message.Add(RouteConstants.IFLA_IFNAME, device.Name).Add(RouteConstants.IFLA_MTU, device.Mtu);
        if (device.HasAddress)
        {
            message.Add(RouteConstants.IFLA_ADDRESS, device.Address.Span);
        }

        foreach (ushort type in (ReadOnlySpan<ushort>)
            [RouteConstants.IFLA_TXQLEN, RouteConstants.IFLA_GROUP, RouteConstants.IFLA_NUM_TX_QUEUES, RouteConstants.IFLA_NUM_RX_QUEUES])
        {
            if (link?.Number(type) is { } number)
            {
                message.Add(type, number);
            }
        }
    }

    private static void Request(RouteNetlink network, NetlinkMessage message, string what) => network.Request(message).OrThrow(what);

    private static CheckpointException Bad(string message) => new(message) { Phase = "namespaces" };
}
