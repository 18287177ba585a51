using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux.Netlink;

/// <summary>A Unix socket, as sock_diag has it.</summary>
/// <remarks>Kernel: net/unix/diag.c, include/uapi/linux/unix_diag.h.</remarks>
public sealed class UnixSocketInfo
{
    /// <summary>The inode number: that of <c>socket:[N]</c>.</summary>
    public ulong Inode { get; init; }

    /// <summary>SOCK_STREAM, SOCK_DGRAM or SOCK_SEQPACKET.</summary>
    public SocketType Type { get; init; }

    /// <summary>TCP_LISTEN, TCP_ESTABLISHED or TCP_CLOSE.</summary>
    public TcpState State { get; init; }

    /// <summary>A number that tells it from a later socket with the same inode number.</summary>
    public ulong Cookie { get; init; }

    /// <summary>
    /// The name as it was bound: a path, maybe relative, with a terminator; or abstract with a leading 0 and no terminator; null for
    /// none.
    /// </summary>
    public byte[]? Name { get; private set; }

    /// <summary>The inode number of the file that it is bound to; 0 for none.</summary>
    public ulong FileInode { get; private set; }

    /// <summary>The device of that file in the kernel's form: major shifted left by 20, and minor.</summary>
    public uint FileDevice { get; private set; }

    /// <summary>The peer's inode number: null if it isn't connected, 0 if the peer is closed or wasn't accepted yet.</summary>
    public ulong? PeerInode { get; private set; }

    /// <summary>
    /// A listening socket's pending connections in the order of accept, by the client's inode number; 0 for a client that is closed.
    /// </summary>
    public ulong[] PendingClients { get; private set; } = [];

    /// <summary>Bytes to be read; of a listening socket, pending connections.</summary>
    public uint ReceiveQueue { get; private set; }

    /// <summary>Memory taken by what was sent and not read; of a listening socket, the backlog.</summary>
    public uint SendQueue { get; private set; }

    /// <summary>Bit 0: no more is received; bit 1: no more is sent.</summary>
    public byte Shutdown { get; private set; }

    /// <summary>The owner of the socket's inode, as the user namespace of the asking socket maps it.</summary>
    public uint Uid { get; private set; }

    /// <summary>Parses one message of a list.</summary>
    public static UnixSocketInfo Parse(ReadOnlySpan<byte> payload)
    {
        UnixDiagMsg message = MemoryMarshal.Read<UnixDiagMsg>(payload);
        var info = new UnixSocketInfo
        {
            Inode = message.udiag_ino,
            Type = (SocketType)message.udiag_type,
            State = (TcpState)message.udiag_state,
            Cookie = message.udiag_cookie,
        };
        var attributes = new NetlinkAttributes(payload[Unsafe.SizeOf<UnixDiagMsg>()..]);
        while (attributes.MoveNext())
        {
            info.Set(attributes.Type, attributes.Value);
        }

        return info;
    }

    private void Set(ushort type, ReadOnlySpan<byte> value)
    {
        switch (type)
        {
            case DiagConstants.UNIX_DIAG_NAME:
                Name = value.ToArray();
                break;
            case DiagConstants.UNIX_DIAG_VFS:
                FileInode = MemoryMarshal.Read<uint>(value);
                FileDevice = MemoryMarshal.Read<uint>(value[4..]);
                break;
            case DiagConstants.UNIX_DIAG_PEER:
                PeerInode = MemoryMarshal.Read<uint>(value);
                break;
            case DiagConstants.UNIX_DIAG_ICONS:
                ReadOnlySpan<uint> clients = MemoryMarshal.Cast<byte, uint>(value);
                PendingClients = new ulong[clients.Length];
                for (int i = 0; i < clients.Length; i++)
                {
                    PendingClients[i] = clients[i];
                }

                break;
            case DiagConstants.UNIX_DIAG_RQLEN:
                ReceiveQueue = MemoryMarshal.Read<uint>(value);
                SendQueue = MemoryMarshal.Read<uint>(value[4..]);
                break;
            case DiagConstants.UNIX_DIAG_SHUTDOWN:
                Shutdown = value[0];
                break;
            case DiagConstants.UNIX_DIAG_UID:
                Uid = MemoryMarshal.Read<uint>(value);
                break;
        }
    }
}
