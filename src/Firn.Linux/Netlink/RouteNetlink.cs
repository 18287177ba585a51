using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Devices, addresses and routes of a network namespace: that of the thread that opens this (rtnetlink(7)).</summary>
/// <remarks>One thread at a time.</remarks>
public sealed class RouteNetlink : IDisposable
{
    private readonly NetlinkSocket socket;

    private RouteNetlink(NetlinkSocket socket) => this.socket = socket;

    /// <summary>Opens a socket in the caller's network namespace.</summary>
    /// <exception cref="LinuxException">It can't be made.</exception>
    public static RouteNetlink Open() => new(NetlinkSocket.Open(NetlinkConstants.NETLINK_ROUTE));

    /// <summary>Reads all devices, in the order of their indexes.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public List<LinkInfo> ReadLinks()
    {
        var links = new List<LinkInfo>();
        socket.Dump(RouteConstants.RTM_GETLINK, default(Ifinfomsg), links.Clear, payload => links.Add(LinkInfo.Parse(payload)))
            .OrThrow("RTM_GETLINK");
        links.Sort((one, other) => one.Index.CompareTo(other.Index));
        return links;
    }

    /// <summary>Sets flags of a device.</summary>
    /// <param name="index">The device.</param>
    /// <param name="flags">The flags, as IFF_UP.</param>
    /// <param name="mask">Which of them are set.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void SetFlags(int index, uint flags, uint mask)
        => socket.Request(
                new NetlinkMessage(RouteConstants.RTM_NEWLINK)
                    .Header(new Ifinfomsg { ifi_index = index, ifi_flags = flags, ifi_change = mask }))
            .OrThrow($"RTM_NEWLINK({index}, flags 0x{flags:x})");

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();
}
