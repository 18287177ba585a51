using System.Runtime.InteropServices;
using System.Text;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>The options of SOL_SOCKET: both halves.</summary>
/// <remarks>socket(7); kernel: net/core/sock.c. What CRIU leaves out of its message when it is at rest, is left out here.</remarks>
internal static class SocketOptions
{
    private const int MostFilterBytes = 4096 * sizeof(ulong);
    private const int InterfaceNameSize = 16;

    // ---- dump

    /// <summary>Reads all options of a socket.</summary>
    /// <exception cref="LinuxException">One can't be read: EACCES for a filter of eBPF.</exception>
    public static SkOptsEntry Read(Fd socket, SocketFamily family)
    {
        Timeval send = GetTime(socket, SocketOption.SO_SNDTIMEO_OLD);
        Timeval receive = GetTime(socket, SocketOption.SO_RCVTIMEO_OLD);
        var entry = new SkOptsEntry
        {
            SoSndbuf = (uint)Get(socket, SocketOption.SO_SNDBUF),
            SoRcvbuf = (uint)Get(socket, SocketOption.SO_RCVBUF),
            SoSndTmoSec = send.TvSec,
            SoSndTmoUsec = send.TvUsec,
            SoRcvTmoSec = receive.TvSec,
            SoRcvTmoUsec = receive.TvUsec,
            Reuseaddr = IsSet(socket, SocketOption.SO_REUSEADDR),
            SoPriority = (uint)Get(socket, SocketOption.SO_PRIORITY),
            SoRcvlowat = (uint)Get(socket, SocketOption.SO_RCVLOWAT),
            SoDontroute = IsSet(socket, SocketOption.SO_DONTROUTE),
            SoNoCheck = IsSet(socket, SocketOption.SO_NO_CHECK),
            SoReuseport = IsSet(socket, SocketOption.SO_REUSEPORT),
            SoBroadcast = IsSet(socket, SocketOption.SO_BROADCAST),
            SoKeepalive = IsSet(socket, SocketOption.SO_KEEPALIVE),
            SoOobinline = (uint)Get(socket, SocketOption.SO_OOBINLINE),
            SoBufLock = (uint)Get(socket, SocketOption.SO_BUF_LOCK),
        };
        if (family is SocketFamily.AF_UNIX or SocketFamily.AF_NETLINK)
        {
            entry.SoPasscred = IsSet(socket, SocketOption.SO_PASSCRED);
            entry.SoPasssec = IsSet(socket, SocketOption.SO_PASSSEC);
            ReadPassing(socket, entry);
        }

        ReadRare(socket, entry);
        return entry;
    }

    // What few kernels have, and fewer programs set.
    private static void ReadPassing(Fd socket, SkOptsEntry entry)
    {
        if (!Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSRIGHTS, out int rights).IsError && rights == 0)
        {
            entry.SoPassrights = false;
        }

        if (!Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PASSPIDFD, out int pidfd).IsError && pidfd != 0)
        {
            entry.SoPasspidfd = true;
        }

        if (!Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_PEEK_OFF, out int offset).IsError && offset >= 0)
        {
            entry.SoPeekOff = offset;
        }
    }

    private static void ReadRare(Fd socket, SkOptsEntry entry)
    {
        if (Get(socket, SocketOption.SO_MARK) is not 0 and int mark)
        {
            entry.SoMark = (uint)mark;
        }

        Sys.GetSocketOption(
            socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_LINGER, out Linger linger).OrThrow($"getsockopt({socket}, SO_LINGER)");
        if (linger.l_onoff != 0)
        {
            entry.SoLinger = (uint)linger.l_linger;
        }

        Span<byte> name = stackalloc byte[InterfaceNameSize];
        if (!Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_BINDTODEVICE, name, out int length).IsError
            && length > 1)
        {
            entry.SoBoundDev = Encoding.UTF8.GetString(name[..length].TrimEnd((byte)0));
        }

        // The length is counted in instructions, both ways.
        Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_GET_FILTER, default, out int instructions)
            .OrThrow($"getsockopt({socket}, SO_GET_FILTER): a filter of eBPF can't be saved");
        if (instructions > 0)
        {
            byte[] program = new byte[MostFilterBytes];
            Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_GET_FILTER, program, out instructions)
                .OrThrow($"getsockopt({socket}, SO_GET_FILTER)");
            foreach (SockFilter instruction in MemoryMarshal.Cast<byte, SockFilter>(program)[..instructions])
            {
                entry.SoFilter.Add(Encode(instruction));
            }
        }
    }

    // ---- restore

    /// <summary>
    /// Sets all options that differ from what the socket has. Address reuse is set last in the life of a socket that binds.
    /// </summary>
    /// <exception cref="LinuxException">The kernel refuses one.</exception>
    public static void Write(Fd socket, SkOptsEntry entry)
    {
        WriteBuffers(socket, entry);
        SetTime(socket, SocketOption.SO_SNDTIMEO_OLD, entry.SoSndTmoSec, entry.SoSndTmoUsec);
        SetTime(socket, SocketOption.SO_RCVTIMEO_OLD, entry.SoRcvTmoSec, entry.SoRcvTmoUsec);
        Set(socket, SocketOption.SO_REUSEADDR, entry.HasReuseaddr, entry.Reuseaddr);
        Set(socket, SocketOption.SO_PASSCRED, entry.HasSoPasscred, entry.SoPasscred);
        Set(socket, SocketOption.SO_PASSSEC, entry.HasSoPasssec, entry.SoPasssec);
        Set(socket, SocketOption.SO_PASSRIGHTS, entry.HasSoPassrights, entry.SoPassrights);
        Set(socket, SocketOption.SO_PASSPIDFD, entry.HasSoPasspidfd, entry.SoPasspidfd);
        if (entry.HasSoPeekOff)
        {
            Set(socket, SocketOption.SO_PEEK_OFF, entry.SoPeekOff);
        }

        Set(socket, SocketOption.SO_DONTROUTE, entry.HasSoDontroute, entry.SoDontroute);
        Set(socket, SocketOption.SO_NO_CHECK, entry.HasSoNoCheck, entry.SoNoCheck);
        Set(socket, SocketOption.SO_REUSEPORT, entry.HasSoReuseport, entry.SoReuseport);
        Set(socket, SocketOption.SO_BROADCAST, entry.HasSoBroadcast, entry.SoBroadcast);
        Set(socket, SocketOption.SO_KEEPALIVE, entry.HasSoKeepalive, entry.SoKeepalive);
        Set(socket, SocketOption.SO_OOBINLINE, entry.HasSoOobinline, entry.SoOobinline != 0);
        if (entry.HasSoPriority)
        {
            Set(socket, SocketOption.SO_PRIORITY, (int)entry.SoPriority);
        }

        if (entry.HasSoRcvlowat)
        {
            Set(socket, SocketOption.SO_RCVLOWAT, (int)entry.SoRcvlowat);
        }

        if (entry.HasSoMark)
        {
            Set(socket, SocketOption.SO_MARK, (int)entry.SoMark);
        }

        WriteRare(socket, entry);
    }

    /// <summary>Sets the sizes of both buffers, and which of them are fixed.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public static void WriteBuffers(Fd socket, SkOptsEntry entry)
    {
        SetBuffer(socket, SocketOption.SO_SNDBUF, SocketOption.SO_SNDBUFFORCE, entry.SoSndbuf);
        SetBuffer(socket, SocketOption.SO_RCVBUF, SocketOption.SO_RCVBUFFORCE, entry.SoRcvbuf);
        if (entry.HasSoBufLock)
        {
            Set(socket, SocketOption.SO_BUF_LOCK, (int)entry.SoBufLock);
        }
    }

    /// <summary>The same for what will be received.</summary>
    public static void GrowReceiveBuffer(Fd socket, int bytes)
        => Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_RCVBUFFORCE, bytes)
            .OrThrow($"setsockopt({socket}, SO_RCVBUFFORCE, {bytes})");

    /// <summary>Makes room for what will be put into a queue, for as long as it takes.</summary>
    public static void GrowSendBuffer(Fd socket, int bytes)
        => Sys.SetSocketOption(
            socket.Number,
            SocketLevel.SOL_SOCKET,
            SocketOption.SO_SNDBUFFORCE,
            bytes).OrThrow($"setsockopt({socket}, SO_SNDBUFFORCE, {bytes})");

    /// <summary>An instruction of classic BPF as the format has it: code, jt, jf, k from the highest bits down.</summary>
    internal static ulong Encode(SockFilter instruction)
        => ((ulong)instruction.code << 48) | ((ulong)instruction.jt << 40) | ((ulong)instruction.jf << 32) | instruction.k;

    /// <summary>The inverse of <see cref="Encode"/>.</summary>
    internal static SockFilter Decode(ulong word)
        => new() { code = (ushort)(word >> 48), jt = (byte)(word >> 40), jf = (byte)(word >> 32), k = (uint)word };

    private static void WriteRare(Fd socket, SkOptsEntry entry)
    {
        if (entry.HasSoLinger)
        {
            var linger = new Linger { l_onoff = 1, l_linger = (int)entry.SoLinger };
            Sys.SetSocketOption(
                socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_LINGER, MemoryMarshal.AsBytes(new ReadOnlySpan<Linger>(in linger)))
                .OrThrow($"setsockopt({socket}, SO_LINGER)");
        }

        if (entry.HasSoBoundDev)
        {
            Sys.SetSocketOption(
                socket.Number, SocketLevel.SOL_SOCKET, SocketOption.SO_BINDTODEVICE, Encoding.UTF8.GetBytes(entry.SoBoundDev))
                .OrThrow($"setsockopt({socket}, SO_BINDTODEVICE, {entry.SoBoundDev})");
        }

        if (entry.SoFilter.Count > 0)
        {
            SockFilter[] program = [.. entry.SoFilter.Select(Decode)];
            Sys.AttachSocketFilter(
                socket.Number, MemoryMarshal.Cast<SockFilter, ulong>(program)).OrThrow($"setsockopt({socket}, SO_ATTACH_FILTER)");
        }
    }

    private static int Get(Fd socket, int option)
    {
        Sys.GetSocketOption(
            socket.Number, SocketLevel.SOL_SOCKET, option, out int value).OrThrow($"getsockopt({socket}, SOL_SOCKET, {option})");
        return value;
    }

    private static bool IsSet(Fd socket, int option) => Get(socket, option) != 0;

    // Reading what is there first costs less than setting, and an option at rest is no reason to fail where a family doesn't have it.
    private static void Set(Fd socket, int option, int value)
    {
        if (Sys.GetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, option, out int now).IsError ? value != 0 : now != value)
        {
            Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, option, value).OrThrow(
                $"setsockopt({socket}, SOL_SOCKET, {option}, {value})");
        }
    }

    private static void Set(Fd socket, int option, bool isSaved, bool value)
    {
        if (isSaved)
        {
            Set(socket, option, value ? 1 : 0);
        }
    }

    // The kernel doubles what it is given.
    private static void SetBuffer(Fd socket, int option, int force, uint value)
    {
        if (Get(socket, option) != value)
        {
            Sys.SetSocketOption(
                socket.Number,
                SocketLevel.SOL_SOCKET,
                force,
                (int)(value / 2)).OrThrow($"setsockopt({socket}, SOL_SOCKET, {force}, {value / 2})");
        }
    }

    private static Timeval GetTime(Fd socket, int option)
    {
        Sys.GetSocketOption(
            socket.Number, SocketLevel.SOL_SOCKET, option, out SocketTime time).OrThrow($"getsockopt({socket}, SOL_SOCKET, {option})");
        return new Timeval { TvSec = (ulong)time.tv_sec, TvUsec = (ulong)time.tv_usec };
    }

    private static void SetTime(Fd socket, int option, ulong seconds, ulong microseconds)
    {
        if (seconds != 0 || microseconds != 0)
        {
            var time = new SocketTime { tv_sec = (long)seconds, tv_usec = (long)microseconds };
            Sys.SetSocketOption(socket.Number, SocketLevel.SOL_SOCKET, option, MemoryMarshal.AsBytes(new ReadOnlySpan<SocketTime>(in time)))
                .OrThrow($"setsockopt({socket}, SOL_SOCKET, {option})");
        }
    }

    /// <summary>struct sock_filter (include/uapi/linux/filter.h).</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SockFilter
    {
        public ushort code;
        public byte jt;
        public byte jf;
        public uint k;
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct SocketTime
    {
        public long tv_sec;
        public long tv_usec;
    }
}
