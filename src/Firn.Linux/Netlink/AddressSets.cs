using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Sets of addresses for iptables, of the network namespace that the thread is in (ipset(8)).</summary>
public static class AddressSets
{
    // IPSET_ATTR_PROTOCOL, and the version that all kernels since 2.6.39 know (include/uapi/linux/netfilter/ipset/ip_set.h).
    private const ushort Protocol = 1;
    private const byte Version = 6;

    /// <summary>Whether there is any.</summary>
    /// <returns>False, too, where the kernel has none.</returns>
    /// <exception cref="LinuxException">The kernel refuses to say.</exception>
    public static bool Exist()
    {
        SysResult made = Sys.Socket(
            SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, NetfilterConstants.NETLINK_NETFILTER);
        if (made.Errno == Errno.EPROTONOSUPPORT)
        {
            return false;
        }

        using var socket = new NetlinkSocket(new Fd(made.OrThrow("socket(AF_NETLINK, NETLINK_NETFILTER)").Int32));
        List<byte> request = [0, 0, 0, 0];
        NetlinkEditing.Append(request, Protocol, [Version]);
        int found = 0;
        SysResult result = socket.DumpBytes(
            (NetfilterConstants.NFNL_SUBSYS_IPSET << 8) | NetfilterConstants.IPSET_CMD_LIST,
            [.. request],
            () => found = 0,
            _ => found++);
        if (result.Errno is not (Errno.EINVAL or Errno.EOPNOTSUPP or Errno.ENOENT))
        {
            result.OrThrow("list of ipset");
        }

        return found > 0;
    }
}
