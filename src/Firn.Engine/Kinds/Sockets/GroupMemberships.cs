using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The multicast groups that datagram sockets are members of: both halves.</summary>
/// <remarks>
/// The kernel lists the groups of an interface (/proc/net/igmp, igmp6), not those of a socket: each socket is asked about each of them, by
/// the interface's number (MCAST_MSFILTER, struct group_filter in include/uapi/linux/in.h). ip(7), net/ipv4/igmp.c, net/ipv6/mcast.c.
/// </remarks>
internal sealed class GroupMemberships
{
    // struct group_filter: interface, padding, sockaddr_storage, mode, count, sources.
    private const int AddressOffset = 8;
    private const int StorageSize = 128;
    private const int ModeOffset = AddressOffset + StorageSize;
    private const int CountOffset = ModeOffset + sizeof(uint);
    private const int SourcesOffset = CountOffset + sizeof(uint);
    private const int MostSources = 64;
    private const int RequestSize = AddressOffset + StorageSize;

    private List<(uint Interface, byte[] Group)>? groups;

    // ---- dump

    /// <summary>Saves those of a socket. The thread is in its network namespace.</summary>
    /// <exception cref="LinuxException">The kernel refuses to say.</exception>
    public void Read(Fd socket, InetSkEntry message)
    {
        bool isInet6 = (SocketFamily)message.Family == SocketFamily.AF_INET6;
        groups ??= ReadAll();
        foreach ((uint index, byte[] group) in groups)
        {
            bool isGroup6 = group.Length == 16;
            if (isGroup6 && !isInet6)
            {
                continue;
            }

            byte[] filter = new byte[SourcesOffset + (MostSources * StorageSize)];
            BinaryPrimitives.WriteUInt32LittleEndian(filter, index);
            Linux.SocketAddress.Inet(group, 0).CopyTo(filter, AddressOffset);
            BinaryPrimitives.WriteUInt32LittleEndian(filter.AsSpan(CountOffset), MostSources);
            SysResult result = Sys.GetSocketOption(socket.Number, LevelOf(isGroup6), IpOption.MCAST_MSFILTER, filter, out _);
            if (result.IsError)
            {
                // EADDRNOTAVAIL: no member.
                continue;
            }

            var membership = new GroupMembershipEntry
            {
                Group = ByteString.CopyFrom(group),
                Mode = BinaryPrimitives.ReadUInt32LittleEndian(filter.AsSpan(ModeOffset)),
                Ifname = InterfaceNames.NameOf(socket, index) ?? string.Empty,
            };
            int sources = (int)Math.Min(MostSources, BinaryPrimitives.ReadUInt32LittleEndian(filter.AsSpan(CountOffset)));
            for (int i = 0; i < sources; i++)
            {
                // sockaddr_in has the address at 4, sockaddr_in6 at 8.
                int start = SourcesOffset + (i * StorageSize) + (isGroup6 ? 8 : 4);
                membership.Sources.Add(ByteString.CopyFrom(filter.AsSpan(start, group.Length)));
            }

            message.Memberships.Add(membership);
        }
    }

    private static List<(uint Interface, byte[] Group)> ReadAll()
    {
        List<(uint Interface, byte[] Group)> found = [];
        uint index = 0;
        foreach (string line in Lines("igmp"))
        {
            // An interface: number, name, ... Then its groups, indented, as numbers in the order of the host.
            string[] words = line.Split((char[])['\t', ' '], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0)
            {
                continue;
            }

            if (line[0] is not ('\t' or ' '))
            {
                _ = uint.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out index);
            }
            else if (uint.TryParse(words[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out uint group))
            {
                found.Add((index, BitConverter.GetBytes(group)));
            }
        }

        foreach (string line in Lines("igmp6"))
        {
            string[] words = line.Split((char[])['\t', ' '], StringSplitOptions.RemoveEmptyEntries);
            if (words.Length > 2 && uint.TryParse(words[0], NumberStyles.None, CultureInfo.InvariantCulture, out index))
            {
                found.Add((index, Convert.FromHexString(words[2])));
            }
        }

        return found;
    }

    // Of the thread's namespace; none where the kernel has no IPv6.
    private static string[] Lines(string name)
    {
        string path = $"{NamespaceVisit.OwnProc}thread-self/net/{name}";
        return File.Exists(path) ? File.ReadAllLines(path, Encoding.UTF8) : [];
    }

    // ---- restore

    /// <summary>Joins them again.</summary>
    /// <exception cref="LinuxException">An interface is missing, or the kernel refuses.</exception>
    public static void Write(Fd socket, InetSkEntry message)
    {
        foreach (GroupMembershipEntry membership in message.Memberships)
        {
            byte[] group = membership.Group.ToByteArray();
            if (group.Length is not (4 or 16))
            {
                throw new ImageFormatException(
                    "files.img", 0, "group-address", $"gives the socket with the id {message.Id} a group of {group.Length} bytes");
            }

            int level = LevelOf(group.Length == 16);
            byte[] filter = new byte[SourcesOffset + (membership.Sources.Count * StorageSize)];
            BinaryPrimitives.WriteUInt32LittleEndian(filter, InterfaceNames.IndexOf(socket, membership.Ifname));
            Linux.SocketAddress.Inet(group, 0).CopyTo(filter, AddressOffset);
            string what = $"file {message.Id}: multicast group at {membership.Ifname}";
            Sys.SetSocketOption(socket.Number, level, IpOption.MCAST_JOIN_GROUP, filter.AsSpan(0, RequestSize)).OrThrow(what);
            if (membership.Mode == 0 && membership.Sources.Count == 0)
            {
                continue;
            }

            BinaryPrimitives.WriteUInt32LittleEndian(filter.AsSpan(ModeOffset), membership.Mode);
            BinaryPrimitives.WriteUInt32LittleEndian(filter.AsSpan(CountOffset), (uint)membership.Sources.Count);
            for (int i = 0; i < membership.Sources.Count; i++)
            {
                byte[] source = membership.Sources[i].ToByteArray();
                if (source.Length == group.Length)
                {
                    Linux.SocketAddress.Inet(source, 0).CopyTo(filter, SourcesOffset + (i * StorageSize));
                }
            }

            Sys.SetSocketOption(socket.Number, level, IpOption.MCAST_MSFILTER, filter).OrThrow(what);
        }
    }

    private static int LevelOf(bool isInet6) => isInet6 ? SocketLevel.IPPROTO_IPV6 : SocketLevel.SOL_IP;
}
