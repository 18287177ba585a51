using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>Hands descriptors of Firn's into a frozen process, for the length of a batch.</summary>
/// <remarks>
/// A socket pair is made in the task, Firn takes one end by pidfd_getfd(2), and sends each descriptor by SCM_RIGHTS (unix(7)). In order:
/// <see cref="QueueOpen"/>, run, <see cref="Send"/>, <see cref="QueueReceive"/>, the calls that use what it returns, <see cref="QueueClose"/>,
/// run. Receiving, use and closing are one batch, so that a task whose tracer dies still closes all of them by itself.
/// </remarks>
public sealed class FdPorter(Remote remote, Fd pidFd) : IDisposable
{
    private const int HeaderSize = 56;
    private const int AbstractNameOffset = 3;
    private const int ControlSize = 24;

    private readonly List<RemoteArgument> received = [];
    private RemoteBuffer pair;
    private int ownEnd = -1;
    private int taskEnd = -1;
    private Fd? end;
    private int sent;

    private static ReadOnlySpan<byte> NamePrefix => "firn-porter-"u8;

    /// <summary>Whether a unix socket is an end of such a pair.</summary>
    /// <param name="socket">A descriptor of it in this process.</param>
    public static bool IsPorter(int socket)
    {
        Span<byte> address = stackalloc byte[128];
        SysResult result = Sys.GetSockName(socket, address, out int length);
        return !result.IsError && length > AbstractNameOffset + NamePrefix.Length && address[0] == (byte)SocketFamily.AF_UNIX && address[2] == 0
            && address[AbstractNameOffset..length].StartsWith(NamePrefix);
    }

    /// <summary>Queues the making of the socket pair.</summary>
    public void QueueOpen()
    {
        RemoteBatch batch = remote.Batch;
        pair = batch.Allocate(16);
        batch.Call(Sysno.socketpair, (int)SocketFamily.AF_UNIX, (int)(SocketType.SOCK_SEQPACKET | SocketType.SOCK_CLOEXEC), 0, pair);

        // Both ends get a name, by which a later visit knows what a Firn that was killed has left. A word is more than an int: the kernel
        // takes the lower half.
        foreach (ulong at in (ReadOnlySpan<ulong>)[0, 4])
        {
            byte[] address = [(byte)SocketFamily.AF_UNIX, 0, 0, .. NamePrefix, .. Guid.NewGuid().ToByteArray()];
            batch.Try(Sysno.bind, RemoteArgument.At(pair.Address + at), batch.Data(address), address.Length);
        }

        batch.Then(() =>
        {
            ownEnd = pair.As<int>()[0];
            taskEnd = pair.As<int>()[1];
        });
    }

    /// <summary>Sends descriptors; the pair has been made.</summary>
    public void Send(ReadOnlySpan<int> fds)
    {
        end ??= new Fd(Sys.PidfdGetFd(pidFd.Number, ownEnd).OrThrow($"pidfd_getfd({remote.Tracee.Tid}, {ownEnd})").Int32);
        foreach (int fd in fds)
        {
            Sys.SendFds(end.Number, [fd]).OrThrow($"sendmsg(SCM_RIGHTS, {fd})");
            sent++;
        }
    }

    /// <summary>Queues the receiving of all that was sent.</summary>
    /// <returns>The descriptors in the task, each an argument of calls queued after this; asked again after the batch, numbers.</returns>
    public IReadOnlyList<RemoteArgument> QueueReceive()
    {
        RemoteBatch batch = remote.Batch;
        for (; sent > 0; sent--)
        {
            RemoteBuffer data = batch.Allocate(16);
            RemoteBuffer vector = batch.Allocate(16);
            vector.As<ulong>()[0] = data.Address.Value;
            vector.As<ulong>()[1] = (ulong)data.Bytes.Length;
            RemoteBuffer control = batch.Allocate(ControlSize);
            RemoteBuffer header = batch.Allocate(HeaderSize);

            // Should the task have no descriptor free, the message comes without one, and this makes each use an EBADF.
            control.As<int>()[4] = -1;
            Span<ulong> fields = header.As<ulong>();
            fields[2] = vector.Address.Value;
            fields[3] = 1;
            fields[4] = control.Address.Value;
            fields[5] = ControlSize;
            batch.Call(Sysno.recvmsg, taskEnd, header, (int)(MessageFlags.MSG_CMSG_CLOEXEC | MessageFlags.MSG_DONTWAIT));

            // struct cmsghdr is 16 bytes; the padding behind the int stays 0, so the word is the descriptor. A later batch has the memory
            // for other things: there it is a number.
            int index = received.Count;
            received.Add(RemoteArgument.At(control.Address + 16));
            batch.Then(() =>
            {
                if (index < received.Count)
                {
                    received[index] = control.As<int>()[4];
                }
            });
        }

        return received;
    }

    /// <summary>Queues the closing of all that was received, and of the pair.</summary>
    public void QueueClose()
    {
        RemoteBatch batch = remote.Batch;
        foreach (RemoteArgument fd in received)
        {
            batch.Try(Sysno.close, fd);
        }

        received.Clear();
        if (taskEnd >= 0)
        {
            batch.Try(Sysno.close, ownEnd);
            batch.Try(Sysno.close, taskEnd);
            taskEnd = -1;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => end?.Dispose();
}
