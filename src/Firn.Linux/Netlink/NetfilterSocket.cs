using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>Tables of packet filters, of the network namespace that the thread is in (nftables).</summary>
public static class NetfilterSocket
{
    /// <summary>Whether nftables has any table.</summary>
    /// <returns>False, too, where the kernel has no nftables.</returns>
    /// <exception cref="LinuxException">The kernel refuses to say.</exception>
    public static bool HasTables()
    {
        SysResult made = Sys.Socket(
            SocketFamily.AF_NETLINK, SocketType.SOCK_RAW | SocketType.SOCK_CLOEXEC, NetfilterConstants.NETLINK_NETFILTER);
        if (made.Errno == Errno.EPROTONOSUPPORT)
        {
            return false;
        }

        using var socket = new NetlinkSocket(new Fd(made.OrThrow("socket(AF_NETLINK, NETLINK_NETFILTER)").Int32));
        int tables = 0;
        const ushort Type = (NetfilterConstants.NFNL_SUBSYS_NFTABLES << 8) | NetfilterConstants.NFT_MSG_GETTABLE;
        SysResult result = socket.Dump(Type, default(Nfgenmsg), () => tables = 0, _ => tables++);
        if (result.Errno is not (Errno.EINVAL or Errno.EOPNOTSUPP or Errno.ENOENT))
        {
            result.OrThrow("list of the tables of nftables");
        }

        return tables > 0;
    }
}
