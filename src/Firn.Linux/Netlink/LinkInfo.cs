using System.Runtime.InteropServices;
using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A network device, as RTM_GETLINK tells of it (rtnetlink(7)).</summary>
public sealed class LinkInfo
{
    private const int HeaderSize = 16;

    private LinkInfo(Ifinfomsg header) => Header = header;

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

    internal static LinkInfo Parse(ReadOnlySpan<byte> payload)
    {
        var link = new LinkInfo(MemoryMarshal.Read<Ifinfomsg>(payload));
        var attributes = new NetlinkAttributes(payload[HeaderSize..]);
        while (attributes.MoveNext())
        {
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
        var attributes = new NetlinkAttributes(value);
        while (attributes.MoveNext())
        {
            if (attributes.Type == RouteConstants.IFLA_INFO_KIND)
            {
                Kind = Text(attributes.Value);
            }
        }
    }

    private static string Text(ReadOnlySpan<byte> value) => Encoding.UTF8.GetString(value.TrimEnd((byte)0));
}
