using System.Runtime.InteropServices;
using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A network device, as RTM_GETLINK tells of it (rtnetlink(7)).</summary>
public sealed class LinkInfo
{
    private const int HeaderSize = 16;

    private readonly Dictionary<ushort, byte[]> attributes = [];
    private readonly Dictionary<ushort, byte[]> data = [];

    private LinkInfo(ReadOnlySpan<byte> message)
    {
        Header = MemoryMarshal.Read<Ifinfomsg>(message);
        Message = message.ToArray();
    }

    /// <summary>The message, without the header of netlink.</summary>
    public ReadOnlyMemory<byte> Message { get; }

    /// <summary>Type, index and flags.</summary>
    public Ifinfomsg Header { get; }

    /// <summary>Its index.</summary>
    public int Index => Header.ifi_index;

    /// <summary>Its flags, IFF_*.</summary>
    public uint Flags => Header.ifi_flags;

    /// <summary>Its name.</summary>
    public string Name { get; private set; } = string.Empty;

    /// <summary>What kind of virtual device it is, as `veth`; empty for one that is none: the loopback, hardware.</summary>
    public string Kind { get; private set; } = string.Empty;

    /// <summary>Whether it is the loopback.</summary>
    public bool IsLoopback => (Flags & RouteConstants.IFF_LOOPBACK) != 0;

    /// <summary>Whether it is up.</summary>
    public bool IsUp => (Flags & RouteConstants.IFF_UP) != 0;

    /// <summary>The index of the device that it is a port of; 0 if of none.</summary>
    public uint Master => Number(RouteConstants.IFLA_MASTER) ?? 0;

    /// <summary>
    /// The index of the device below it, or of its peer; null if there is none. In another namespace, if <see cref="HasLinkOutside"/>.
    /// </summary>
    public uint? Link => Number(RouteConstants.IFLA_LINK);

    /// <summary>Whether <see cref="Link"/> is of another network namespace.</summary>
    public bool HasLinkOutside => attributes.ContainsKey(RouteConstants.IFLA_LINK_NETNSID);

    /// <summary>An attribute that is a number of 32 bits; null if it is absent.</summary>
    /// <param name="type">IFLA_*.</param>
    public uint? Number(ushort type) => attributes.TryGetValue(type, out byte[]? value) && value.Length >= sizeof(uint)
        ? MemoryMarshal.Read<uint>(value)
        : null;

    /// <summary>An attribute; empty if it is absent.</summary>
    /// <param name="type">IFLA_*.</param>
    public ReadOnlyMemory<byte> Attribute(ushort type) => attributes.GetValueOrDefault(type, []);

    /// <summary>An attribute of its kind's own (IFLA_INFO_DATA); empty if it is absent.</summary>
    /// <param name="type">IFLA_BR_*, IFLA_MACVLAN_*.</param>
    public ReadOnlyMemory<byte> Data(ushort type) => data.GetValueOrDefault(type, []);

    /// <summary>Understands a message of type RTM_NEWLINK.</summary>
    /// <param name="payload">The message, without the header of netlink.</param>
    /// <exception cref="LinuxException">It is too short (EPROTO).</exception>
    public static LinkInfo Parse(ReadOnlySpan<byte> payload)
    {
        if (payload.Length < HeaderSize)
        {
            throw new LinuxException($"RTM_NEWLINK of {payload.Length} bytes", Errno.EPROTO);
        }

        var link = new LinkInfo(payload);
        var attributes = new NetlinkAttributes(payload[HeaderSize..]);
        while (attributes.MoveNext())
        {
            link.attributes[attributes.Type] = attributes.Value.ToArray();
            switch (attributes.Type)
            {
                case RouteConstants.IFLA_IFNAME:
                    link.Name = Text(attributes.Value);
                    break;
                case RouteConstants.IFLA_LINKINFO:
                    link.ParseInfo(attributes.Value);
                    break;
                default:
                    break;
            }
        }

        return link;
    }

    private void ParseInfo(ReadOnlySpan<byte> value)
    {
        var parts = new NetlinkAttributes(value);
        while (parts.MoveNext())
        {
            if (parts.Type == RouteConstants.IFLA_INFO_KIND)
            {
                Kind = Text(parts.Value);
            }
            else if (parts.Type == RouteConstants.IFLA_INFO_DATA)
            {
                var inner = new NetlinkAttributes(parts.Value);
                while (inner.MoveNext())
                {
                    data[inner.Type] = inner.Value.ToArray();
                }
            }
        }
    }

    private static string Text(ReadOnlySpan<byte> value) => Encoding.UTF8.GetString(value.TrimEnd((byte)0));
}
