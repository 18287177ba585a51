using Firn.Engine.Kinds.Events;
using Firn.Engine.Kinds.Files;
using Firn.Engine.Kinds.Sockets;
using Firn.Engine.Tree;
using Firn.Images;

namespace Firn.Engine.Kinds;

/// <summary>The list of kinds of open files.</summary>
internal static class FileKinds
{
    /// <summary>All kinds, in the order in which they are asked whether a file is theirs.</summary>
    public static IReadOnlyList<FileKind> All { get; } =
    [
        new MemfdFile(),
        new Pipe(),
        new Fifo(),
        new Terminal(),
        new RegularFile(),
        new EventFd(),
        new TimerFd(),
        new SignalFd(),
        new EpollFile(),
        new InotifyFile(),
        new FanotifyFile(),
        new IoUringFile(),
        new PidFdFile(),
        new NamespaceFile(),
        new UnixSocket(),
        new InetSocket(),
        new NetlinkFile(),
        new PacketSocket(),
        new BpfMap(),
        new TunFile(),
        new DeviceFile(),
        new UnsupportedFile(),
    ];

    /// <summary>The kind of a type in files.img.</summary>
    /// <exception cref="CheckpointException">Firn has none.</exception>
    public static FileKind Of(FdTypes type)
        => All.FirstOrDefault(kind => kind.Type == type)
        ?? throw new CheckpointException($"files.img has a file of the type {type}, which this version of Firn can't restore");
}
