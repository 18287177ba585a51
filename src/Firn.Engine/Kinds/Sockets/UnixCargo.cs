using System.Runtime.InteropServices;
using Firn.Engine.Kinds.Events;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Makes the control messages that go with a packet: descriptors and the sender's credentials.</summary>
/// <remarks>unix(7), net/core/scm.c. Root may name any credentials, but the process must exist; what is sent keeps it for ever.</remarks>
internal sealed class UnixCargo(RestoreContext context)
{
    private readonly HashSet<int> pids = [.. context.Tasks.SelectMany(task => task.Threads).Select(thread => thread.Tid)];

    /// <summary>Whether a packet can be sent only when the tasks of the tree exist.</summary>
    public bool NeedsTasks(SkPacketEntry packet)
        => (packet.Credentials is { } sender && pids.Contains(sender.Pid))
        || packet.Scm.SelectMany(scm => scm.Rights).Any(id => !context.Files.IsProvided(id));

    /// <summary>The control messages of a packet, for as long as it is being sent.</summary>
    /// <exception cref="ImageFormatException">More descriptors than one packet can have, or of unknown files.</exception>
    /// <exception cref="LinuxException">A process to be named can't be made.</exception>
    public Load Of(SkPacketEntry packet)
    {
        List<uint> ids = [.. packet.Scm.Where(scm => scm.Type == ControlMessageType.SCM_RIGHTS).SelectMany(scm => scm.Rights)];
        if (packet.Credentials is null && ids.Count == 0)
        {
            return new Load([], [], null);
        }

        if (ids.Count > Sys.MaxFdsInMessage)
        {
            throw new ImageFormatException(
                ImageKind.SkQueues.FileName(0), 0, "packet-rights", $"a packet of socket {packet.IdFor} with {ids.Count} descriptors");
        }

        PassingProcess? stub = null;
        byte[] credentials = [];
        if (packet.Credentials is { } sender)
        {
            stub = pids.Contains(sender.Pid) ? null : PassingProcess.Make(context, sender.Pid);
            credentials = Credentials(sender, stub?.Pid ?? context.OuterId(sender.Pid));
        }

        return new Load([.. Rights([.. ids.Select(id => context.Files[id].Number)]), .. credentials], credentials, stub);
    }

    private static byte[] Credentials(SkCredentialsEntry sender, int pid)
    {
        var named = new Ucred { pid = pid, uid = sender.Uid, gid = sender.Gid };
        return Message(ControlMessageType.SCM_CREDENTIALS, MemoryMarshal.AsBytes(new ReadOnlySpan<Ucred>(in named)));
    }

    private static byte[] Rights(int[] fds)
        => fds.Length == 0 ? [] : Message(ControlMessageType.SCM_RIGHTS, MemoryMarshal.AsBytes<int>(fds));

    private static byte[] Message(int type, ReadOnlySpan<byte> data)
    {
        byte[] control = new byte[ControlMessages.Space(data.Length)];
        ControlMessages.Write(control, SocketLevel.SOL_SOCKET, type, data);
        return control;
    }

    /// <summary>The control messages of one packet, and what must exist while it is sent.</summary>
    internal sealed class Load(byte[] control, byte[] later, PassingProcess? stub) : IDisposable
    {
        /// <summary>What goes with the first bytes.</summary>
        public byte[] Control => control;

        /// <summary>What goes with further parts of a stream's message.</summary>
        public byte[] Later => later;

        /// <inheritdoc/>
        public void Dispose() => stub?.Dispose();
    }
}
