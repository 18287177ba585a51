using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Devices, addresses and routes of a network namespace: that of the thread that opens this (rtnetlink(7)).</summary>
/// <remarks>One thread at a time.</remarks>
public sealed class RouteNetlink : IDisposable
{
    private const int HeaderSize = 16;

    private readonly NetlinkSocket socket;

    private RouteNetlink(NetlinkSocket socket) => this.socket = socket;

    /// <summary>Says whether a message is wanted.</summary>
    public delegate bool MessageFilter(ReadOnlySpan<byte> payload);

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

    /// <summary>Reads a list: all messages, one behind the other, as they came.</summary>
    /// <param name="type">RTM_GET*.</param>
    /// <param name="request">The request.</param>
    /// <param name="keep">Whether a message is wanted, by what follows the header of netlink.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public byte[] ReadWhole<T>(ushort type, in T request, MessageFilter keep)
        where T : unmanaged
    {
        ArgumentNullException.ThrowIfNull(keep);
        var all = new List<byte>();
        socket.DumpWhole(type, in request, all.Clear, whole =>
        {
            if (keep(whole[HeaderSize..]))
            {
                all.AddRange(whole);
                all.AddRange(new byte[-whole.Length & 3]);
            }
        }).OrThrow($"list {type} of rtnetlink");
        return [.. all];
    }

    /// <summary>Whether any device has a queueing discipline that was set, and is not the kernel's default.</summary>
    /// <exception cref="LinuxException">The kernel refuses to say.</exception>
    public bool HasQueueing()
    {
        // Only one that was set has a handle (tc(8)).
        int found = 0;
        SysResult result = socket.Dump(
            RouteConstants.RTM_GETQDISC,
            default(Tcmsg),
            () => found = 0,
            payload => found += MemoryMarshal.Read<Tcmsg>(payload).tcm_handle != 0 ? 1 : 0);
        if (result.Errno != Errno.EOPNOTSUPP)
        {
            result.OrThrow("RTM_GETQDISC");
        }

        return found > 0;
    }

    /// <summary>The number by which this namespace knows another; -1 for none.</summary>
    /// <param name="other">The other namespace.</param>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public int NumberOf(Fd other)
    {
        ArgumentNullException.ThrowIfNull(other);
        int number = -1;
        socket.Ask(
            new NetlinkMessage(RouteConstants.RTM_GETNSID).Header(0u).Add(RouteConstants.NETNSA_FD, (uint)other.Number),
            payload =>
            {
                // struct rtgenmsg, which ends at a boundary of four.
                var attributes = new NetlinkAttributes(payload[sizeof(uint)..]);
                while (attributes.MoveNext())
                {
                    if (attributes.Type == RouteConstants.NETNSA_NSID)
                    {
                        number = MemoryMarshal.Read<int>(attributes.Value);
                    }
                }
            }).OrThrow("RTM_GETNSID");
        return number;
    }

    /// <summary>Makes a number the one by which this namespace knows another.</summary>
    /// <returns>0, or -errno: EEXIST if it has one already.</returns>
    public SysResult SetNumberOf(Fd other, int number)
    {
        ArgumentNullException.ThrowIfNull(other);
        return socket.Request(new NetlinkMessage(RouteConstants.RTM_NEWNSID).Header(0u)
            .Add(RouteConstants.NETNSA_FD, (uint)other.Number).Add(RouteConstants.NETNSA_NSID, number));
    }

    /// <summary>Makes a request, and waits until it is done.</summary>
    /// <returns>0, or -errno.</returns>
    public SysResult Request(NetlinkMessage request) => socket.Request(request);

    /// <inheritdoc/>
    public void Dispose() => socket.Dispose();
}
