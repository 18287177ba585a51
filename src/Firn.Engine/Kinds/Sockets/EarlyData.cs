using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// What waits in Unix sockets and can be read only by taking something away: both halves. What clients have sent over connections that no
/// one has accepted yet; packets behind an error that waits to be reported.
/// </summary>
/// <remarks>
/// accept(2) alone leads to the first, and what was accepted goes back into no queue; the second comes when the error is gone. So it is
/// read when the tree has been killed, of which the sockets are left that Firn has taken: the listener with its queue, and its clients.
/// The image set is published by then, and is one without that file, too: such a client finds its connection reset then.
/// </remarks>
internal sealed class EarlyData
{
    private readonly Dictionary<OpenFile, List<int>> places = [];
    private readonly HashSet<OpenFile> behindErrors = [];
    private readonly HashSet<uint> lost = [];
    private ILookup<uint, ImageEntry>? saved;

    // ---- dump

    /// <summary>Takes note of a connection that has brought data.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="listener">Where it waits.</param>
    /// <param name="place">Its place among those that wait there.</param>
    /// <returns>What stands in the way; or null.</returns>
    public string? Add(DumpContext context, OpenFile listener, int place)
    {
        if (!IsKilled(context))
        {
            return "has brought data, which can be read only by accepting it: that is done where the tree is killed by the dump, and not "
                + "with --leave-running";
        }

        if (listener.Info.QueuedFds > 0)
        {
            return "has brought descriptors";
        }

        if (!places.TryGetValue(listener, out List<int>? known))
        {
            places.Add(listener, known = []);
            MappedIds? ids = MappedIds.OfTree(context);
            context.AfterKill.Add(() => ReadConnections(context, listener, known, ids));
        }

        known.Add(place);
        return null;
    }

    /// <summary>
    /// The same for one whose client is closed. Whether it has brought data can't be seen: the kernel's list has no socket without an inode
    /// (net/unix/diag.c, sk_diag_dump()).
    /// </summary>
    public string? AddOfGone(DumpContext context, OpenFile listener, int place)
    {
        if (IsKilled(context))
        {
            return Add(context, listener, place);
        }

        context.Log.LogWarning(
            "pid {Pid} {Resource}: a connection waits to be accepted whose client is closed; what it has sent, if anything, is lost: it is "
                + "saved where the tree is killed by the dump, and not with --leave-running",
            listener.Owner.Pid,
            listener.Resource);
        return null;
    }

    /// <summary>Takes note of a socket where an error waits, and packets behind it.</summary>
    /// <returns>Whether they can be saved.</returns>
    public bool AddBehindError(DumpContext context, OpenFile file)
    {
        if (!IsKilled(context) || file.Info.QueuedFds > 0)
        {
            return false;
        }

        behindErrors.Add(file);
        MappedIds? ids = MappedIds.OfTree(context);
        context.AfterKill.Add(() =>
        {
            // To ask for the error takes it; the dump knows it already.
            int socket = file.Taken.Number;
            Sys.GetSocketOption(socket, SocketLevel.SOL_SOCKET, SocketOption.SO_ERROR, out int _).OrThrow("getsockopt(SO_ERROR)");
            using OpenFile again = View(file, Sys.Fcntl(socket, FcntlCommand.F_DUPFD_CLOEXEC, 0).OrThrow("fcntl(F_DUPFD)").Int32);
            Save(context, again, file.Id, 0, ids);
            SayAll(context, file.Id);
        });
        return true;
    }

    /// <summary>The places of the connections to a listener that have brought data.</summary>
    public IEnumerable<uint> PlacesOf(OpenFile listener)
        => places.TryGetValue(listener, out List<int>? known) ? known.Select(place => (uint)place) : [];

    /// <summary>Whether what waits in a socket is read when the tree is killed.</summary>
    public bool IsLate(OpenFile file) => behindErrors.Contains(file);

    private static bool IsKilled(DumpContext context) => !context.Options.LeaveRunning && !context.Options.LeaveStopped;

    private static void ReadConnections(DumpContext context, OpenFile listener, List<int> places, MappedIds? ids)
    {
        for (int place = 0; place <= places[^1]; place++)
        {
            var poll = new Pollfd { fd = listener.Taken.Number, events = PollEvents.POLLIN };
            if (Sys.Poll(new Span<Pollfd>(ref poll), 0).Raw != 1)
            {
                throw new CheckpointException($"{listener.Resource}: a connection that waited to be accepted is gone");
            }

            using OpenFile accepted = View(
                listener, Sys.Accept(listener.Taken.Number).OrThrow($"accept4 at {listener.Resource}").Int32);
            if (places.Contains(place))
            {
                Save(context, accepted, listener.Id, (uint)place, ids);
            }
        }

        SayAll(context, listener.Id);
    }

    // An entry without a place: all of this socket is there.
    private static void SayAll(DumpContext context, uint id)
        => context.Images.Add(ImageKind.SkLate, 0, new SkPacketEntry { IdFor = id, Length = 0 });

    private static OpenFile View(OpenFile via, int number)
    {
        var taken = new Fd(number);
        Sys.Fstat(number, out FileStat stat).OrThrow($"fstat({taken})");
        return new OpenFile(taken)
        {
            Owner = via.Owner,
            Via = via,
            Number = number,
            ProcPath = string.Create(CultureInfo.InvariantCulture, $"/proc/{Environment.ProcessId}/fd/{number}"),
            Link = FdList.ReadLink(Environment.ProcessId, number),
            Stat = stat,
            Info = FdInfo.Read(Environment.ProcessId, number),
        };
    }

    private static void Save(DumpContext context, OpenFile file, uint id, uint place, MappedIds? ids)
    {
        foreach ((SkPacketEntry packet, ReadOnlyMemory<byte> bytes) in UnixQueue.Packets(context, file))
        {
            packet.IdFor = id;
            packet.Place = place;
            ids?.MapLate(packet);
            context.Images.Add(ImageKind.SkLate, 0, packet, bytes);
        }
    }

    // ---- restore

    /// <summary>What came over a connection to a listener.</summary>
    /// <returns>The packets; null if they are lost.</returns>
    /// <exception cref="ImageFormatException">The image is damaged.</exception>
    public List<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)>? Of(RestoreContext context, UnixSkEntry listener, int place)
        => !listener.Early.Contains((uint)place) ? []
            : Packets(context, listener) is { } packets ? [.. packets.Where(packet => packet.Message.Place == place)]
            : null;

    /// <summary>What waits in a socket, behind an error.</summary>
    /// <exception cref="ImageFormatException">The image is damaged.</exception>
    public IEnumerable<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> Of(RestoreContext context, UnixSkEntry socket)
        => socket.IsLate ? Packets(context, socket) ?? [] : [];

    private IEnumerable<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)>? Packets(RestoreContext context, UnixSkEntry socket)
    {
        saved ??= context.Images.Entries(ImageKind.SkLate).ToLookup(entry => ((SkPacketEntry)entry.Message).IdFor);
        IEnumerable<(SkPacketEntry Message, ReadOnlyMemory<byte> Bytes)> all =
            saved[socket.Id].Select(entry => ((SkPacketEntry)entry.Message, entry.Payload));
        if (all.Any(packet => !packet.Message.HasPlace))
        {
            return all.Where(packet => packet.Message.HasPlace);
        }

        if (lost.Add(socket.Id))
        {
            context.Log.LogWarning(
                "unix socket {Name}: the images lack what waited in it and could be read only when the tree was dead ({File}): Firn was "
                    + "killed at the very end of the dump, or a hook took the set away before; clients that wait to be accepted are reset",
                UnixSocket.NameText(socket.Name.Span),
                ImageKind.SkLate.FileName());
        }

        return null;
    }
}
