using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>Addresses, routes, rules and permanent neighbours of the network namespace that the thread is in. rtnetlink(7).</summary>
/// <remarks>
/// The images are what `ip addr save`, `ip route save` and `ip rule save` write: a number, and the kernel's messages as they came. Made
/// again, each is sent back as a request, without what the kernel counts by itself.
/// </remarks>
internal static class NetworkTables
{
    // iproute2's ip/ipaddress.c, ip/iproute.c, ip/iprule.c.
    private const uint AddressMagic = 0x47361222;
    private const uint RouteMagic = 0x45311224;
    private const uint RuleMagic = 0x71706986;
    private const int HeaderSize = 16;
    private const int RouteHeaderSize = 12;
    private const int NeighbourHeaderSize = 12;
    private const int NextHopHeaderSize = 8;

    // What a route shows of its next-hop object, and may not name besides it.
    private static readonly ushort[] OfNextHop =
    [
        RouteConstants.RTA_OIF, RouteConstants.RTA_GATEWAY, RouteConstants.RTA_MULTIPATH, RouteConstants.RTA_VIA,
        RouteConstants.RTA_ENCAP_TYPE, RouteConstants.RTA_ENCAP,
    ];

    private const byte InterNetwork = (byte)SocketFamily.AF_INET;
    private const byte InterNetwork6 = (byte)SocketFamily.AF_INET6;

    /// <summary>Writes the images.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own, RouteNetlink network, NetnsEntry entry)
    {
        Save(context, ImageKind.Ifaddr, own.Id, AddressMagic, network.ReadWhole(RouteConstants.RTM_GETADDR, default(Ifinfomsg), All));
        foreach ((ImageKind kind, byte family) in ((ImageKind, byte)[])[(ImageKind.Route, InterNetwork), (ImageKind.Route6, InterNetwork6)])
        {
            Save(
                context,
                kind,
                own.Id,
                RouteMagic,
                network.ReadWhole(RouteConstants.RTM_GETROUTE, new Rtmsg { rtm_family = family }, IsWantedRoute));
        }

        Save(context, ImageKind.Rule, own.Id, RuleMagic, network.ReadWhole(RouteConstants.RTM_GETRULE, default(Rtmsg), All));
        byte[] neighbours = network.ReadWhole(RouteConstants.RTM_GETNEIGH, default(Ndmsg), payload => IsPermanent(payload));
        entry.NextHops.AddRange(Split(network.ReadWhole(RouteConstants.RTM_GETNEXTHOP, default(Nhmsg), All))
            .Select(message => ByteString.CopyFrom(message.Payload)));
        entry.Neighbours.AddRange(Split(neighbours).Select(message => ByteString.CopyFrom(message.Payload)));

        static bool All(ReadOnlySpan<byte> payload) => true;
    }

    /// <summary>Makes addresses. Devices may still be down, so that none is announced before all is there.</summary>
    public static void RestoreAddresses(RestoreContext context, RestoredNamespace own, RouteNetlink network)
    {
        foreach ((ushort _, byte[] payload) in Load(context, ImageKind.Ifaddr, own.Id, AddressMagic))
        {
            Make(
                network,
                new NetlinkMessage(RouteConstants.RTM_NEWADDR, NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_EXCL).Raw(payload),
                $"address {Convert.ToHexString(payload)}");
        }
    }

    /// <summary>Makes routes, rules and neighbours. Devices are up.</summary>
    public static void RestoreRoutes(RestoreContext context, RestoredNamespace own, RouteNetlink network, NetnsEntry entry)
    {
        List<byte[]> routes =
        [
            .. Load(context, ImageKind.Route, own.Id, RouteMagic)
                .Concat(Load(context, ImageKind.Route6, own.Id, RouteMagic))
                .Select(message => message.Payload)
                .Where(payload => IsWantedRoute(payload)),
        ];

        RestoreNextHops(network, entry);

        // A gateway must be reachable when a route by it is made.
        foreach (bool hasGateway in (ReadOnlySpan<bool>)[false, true])
        {
            foreach (byte[] payload in routes.Where(route => HasGateway(route) == hasGateway))
            {
                Make(
                    network,
                    new NetlinkMessage(RouteConstants.RTM_NEWROUTE, NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_APPEND)
                        .Raw(Anew(payload)),
                    $"route {Convert.ToHexString(payload)}");
            }
        }

        RestoreRules(context, own, network);
        foreach (ByteString neighbour in entry.Neighbours)
        {
            Make(
                network,
                new NetlinkMessage(RouteConstants.RTM_NEWNEIGH, NetlinkConstants.NLM_F_CREATE)
                    .Raw(Without(neighbour.Span, NeighbourHeaderSize, RouteConstants.NDA_CACHEINFO, RouteConstants.NDA_PROBES)),
                $"neighbour {Convert.ToHexString(neighbour.Span)}");
        }
    }

    // Groups after what they are of. Where it leads and its state belong to the kernel.
    private static void RestoreNextHops(RouteNetlink network, NetnsEntry entry)
    {
        foreach (byte[] hop in entry.NextHops.Where(hop => hop.Length >= NextHopHeaderSize)
            .Select(hop => Without(hop.Span, NextHopHeaderSize, RouteConstants.NHA_OP_FLAGS))
            .OrderBy(hop => HasAttribute(hop.AsSpan(NextHopHeaderSize..), RouteConstants.NHA_GROUP) ? 1 : 0))
        {
            Nhmsg header = MemoryMarshal.Read<Nhmsg>(hop);
            header.nh_scope = 0;
            header.nh_flags &= RouteConstants.RTNH_F_ONLINK;
            MemoryMarshal.Write(hop, in header);
            Make(
                network,
                new NetlinkMessage(RouteConstants.RTM_NEWNEXTHOP, NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_EXCL).Raw(hop),
                $"next hop {Convert.ToHexString(hop)}");
        }
    }

    private static void RestoreRules(RestoreContext context, RestoredNamespace own, RouteNetlink network)
    {
        List<byte[]> wanted = [.. Load(context, ImageKind.Rule, own.Id, RuleMagic).Select(message => message.Payload)];
        if (wanted.Count == 0)
        {
            return;
        }

        // A new namespace has rules, which the old one may have lost.
        List<byte[]> present =
        [
            .. Split(network.ReadWhole(RouteConstants.RTM_GETRULE, default(Rtmsg), static _ => true)).Select(message => message.Payload),
        ];
        foreach (byte[] rule in present.Where(rule => !wanted.Exists(other => other.AsSpan().SequenceEqual(rule))))
        {
            network.Request(new NetlinkMessage(RouteConstants.RTM_DELRULE).Raw(rule)).OrThrow($"RTM_DELRULE({Convert.ToHexString(rule)})");
        }

        foreach (byte[] rule in wanted.Where(rule => !present.Exists(other => other.AsSpan().SequenceEqual(rule))))
        {
            Make(
                network,
                new NetlinkMessage(RouteConstants.RTM_NEWRULE, NetlinkConstants.NLM_F_CREATE | NetlinkConstants.NLM_F_EXCL).Raw(rule),
                $"rule {Convert.ToHexString(rule)}");
        }
    }

    // What the kernel has made by itself, as the address of the loopback, is there already.
    private static void Make(RouteNetlink network, NetlinkMessage message, string what)
    {
        SysResult made = network.Request(message);
        if (made.Errno != Errno.EEXIST)
        {
            made.OrThrow(what);
        }
    }

    // Not those of addresses, which come with them, nor what is only remembered; nor multicast's own (families above those of sockets).
    private static bool IsWantedRoute(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < RouteHeaderSize)
        {
            return false;
        }

        Rtmsg route = MemoryMarshal.Read<Rtmsg>(payload);
        return route.rtm_family is InterNetwork or InterNetwork6
            && (route.rtm_flags & RouteConstants.RTM_F_CLONED) == 0
            && route.rtm_table != RouteConstants.RT_TABLE_LOCAL
            && (route.rtm_family == InterNetwork || route.rtm_protocol != RouteConstants.RTPROT_KERNEL);
    }

    private static bool IsPermanent(ReadOnlySpan<byte> payload)
        => payload.Length >= NeighbourHeaderSize
            && MemoryMarshal.Read<Ndmsg>(payload) is { ndm_family: InterNetwork or InterNetwork6, ndm_state: RouteConstants.NUD_PERMANENT };

    private static bool HasGateway(byte[] route)
        => HasAttribute(route.AsSpan(RouteHeaderSize..), RouteConstants.RTA_GATEWAY)
            || HasAttribute(route.AsSpan(RouteHeaderSize..), RouteConstants.RTA_VIA)
            || HasAttribute(route.AsSpan(RouteHeaderSize..), RouteConstants.RTA_NH_ID)
            || HasAttribute(route.AsSpan(RouteHeaderSize..), RouteConstants.RTA_MULTIPATH);

    private static bool HasAttribute(ReadOnlySpan<byte> attributes, ushort type)
    {
        var walk = new NetlinkAttributes(attributes);
        while (walk.MoveNext())
        {
            if (walk.Type == type)
            {
                return true;
            }
        }

        return false;
    }

    // States of links are no part of a request, neither of the route nor of its next hops.
    private static byte[] Anew(ReadOnlySpan<byte> payload)
    {
        byte[] route = HasAttribute(payload[RouteHeaderSize..], RouteConstants.RTA_NH_ID)
            ? Without(payload, RouteHeaderSize, [RouteConstants.RTA_CACHEINFO, .. OfNextHop])
            : Without(payload, RouteHeaderSize, RouteConstants.RTA_CACHEINFO);
        const uint States = RouteConstants.RTNH_F_DEAD | RouteConstants.RTNH_F_LINKDOWN;
        Span<byte> flags = route.AsSpan(8);
        BinaryPrimitives.WriteUInt32LittleEndian(flags, BinaryPrimitives.ReadUInt32LittleEndian(flags) & ~States);
        for (int at = RouteHeaderSize; at + 4 <= route.Length;)
        {
            Nlattr header = MemoryMarshal.Read<Nlattr>(route.AsSpan(at));
            if (header.nla_len < 4)
            {
                break;
            }

            if (header.nla_type == RouteConstants.RTA_MULTIPATH)
            {
                for (int hop = at + 4; hop + 8 <= at + header.nla_len;)
                {
                    Rtnexthop next = MemoryMarshal.Read<Rtnexthop>(route.AsSpan(hop));
                    if (next.rtnh_len < 8)
                    {
                        break;
                    }

                    next.rtnh_flags &= unchecked((byte)~States);
                    MemoryMarshal.Write(route.AsSpan(hop), in next);
                    hop += (next.rtnh_len + 3) & ~3;
                }
            }

            at += (header.nla_len + 3) & ~3;
        }

        return route;
    }

    private static byte[] Without(ReadOnlySpan<byte> payload, int headerSize, params ReadOnlySpan<ushort> types)
    {
        List<byte> kept = [.. payload[..headerSize]];
        for (ReadOnlySpan<byte> rest = payload[headerSize..]; rest.Length >= 4;)
        {
            Nlattr header = MemoryMarshal.Read<Nlattr>(rest);
            int size = Math.Min(rest.Length, (header.nla_len + 3) & ~3);
            if (header.nla_len < 4 || header.nla_len > rest.Length)
            {
                break;
            }

            if (!types.Contains(header.nla_type))
            {
                kept.AddRange(rest[..size]);
            }

            rest = rest[size..];
        }

        return [.. kept];
    }

    private static void Save(DumpContext context, ImageKind kind, uint id, uint magic, byte[] messages)
    {
        string name = kind.FileName(id);
        context.WrittenFiles.Add(name);
        using FileStream file = File.Create(Path.Combine(context.Options.ImagesDirectory, name));
        Span<byte> number = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(number, magic);
        file.Write(number);
        file.Write(messages);
    }

    private static List<(ushort Type, byte[] Payload)> Load(RestoreContext context, ImageKind kind, uint id, uint magic)
    {
        string name = kind.FileName(id);
        byte[] bytes = context.Images.Read(name) ?? [];
        if (bytes.Length == 0)
        {
            return [];
        }

        if (bytes.Length < sizeof(uint) || BinaryPrimitives.ReadUInt32LittleEndian(bytes) != magic)
        {
            throw new ImageFormatException(name, 0, ImageDiagnostic.WrongMagic,
                "is not what `ip save` writes; the image is damaged: dump again");
        }

        return Split(bytes.AsSpan(sizeof(uint)));
    }

    private static List<(ushort Type, byte[] Payload)> Split(ReadOnlySpan<byte> messages)
    {
        var all = new List<(ushort, byte[])>();
        while (messages.Length >= HeaderSize)
        {
            Nlmsghdr header = MemoryMarshal.Read<Nlmsghdr>(messages);
            if (header.nlmsg_len < HeaderSize || header.nlmsg_len > messages.Length)
            {
                break;
            }

            all.Add((header.nlmsg_type, messages[HeaderSize..(int)header.nlmsg_len].ToArray()));
            messages = messages[Math.Min(messages.Length, ((int)header.nlmsg_len + 3) & ~3)..];
        }

        return all;
    }
}
