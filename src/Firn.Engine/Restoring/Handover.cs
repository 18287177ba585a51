using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>Gives a task that exists already the descriptors that Firn has made since, at the same numbers.</summary>
/// <remarks>
/// A root in namespaces of its own must be there before the files that are opened in them; else it would simply inherit them. Over a socket
/// pair whose one end it has inherited: SCM_RIGHTS, unix(7).
/// </remarks>
internal sealed class Handover : IDisposable
{
    private const int HeaderSize = 56;
    private const int ControlHeaderSize = 16;
    private const int Chunk = 200;

    /// <summary>Where Firn's region may begin: below it there is room for what comes in one message.</summary>
    public const int LowestRegion = 256;

    private readonly RestoredFiles files;
    private readonly Fd own;
    private readonly Fd root;

    /// <summary>Makes the socket pair, before the root.</summary>
    public Handover(RestoredFiles files)
    {
        this.files = files;
        Sys.SocketPair(SocketFamily.AF_UNIX, SocketType.SOCK_SEQPACKET | SocketType.SOCK_CLOEXEC, 0, out int first, out int second)
            .OrThrow("socketpair(handover)");
        own = new Fd(first);
        root = files.MoveToRegion(new Fd(second));
    }

    /// <summary>Hands over all of Firn's region; what the root has there by inheritance may be something else by now.</summary>
    /// <param name="to">The root, in whose table nothing has been put in place.</param>
    public void Run(Remote to)
    {
        IEnumerable<int> region = FdList.Read(Sys.GetPid()).Where(fd => fd >= files.FirstNumber && fd != root.Number && IsInherited(fd));
        foreach (int[] chunk in region.Order().ToList().Chunk(Chunk))
        {
            Sys.SendFds(own.Number, chunk).OrThrow("sendmsg(SCM_RIGHTS, handover)");
            Receive(to, chunk);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        own.Dispose();
        root.Dispose();
    }

    private void Receive(Remote to, int[] numbers)
    {
        RemoteBatch batch = to.Batch;
        RemoteBuffer data = batch.Allocate(16);
        RemoteBuffer vector = batch.Allocate(16);
        vector.As<ulong>()[0] = data.Address.Value;
        vector.As<ulong>()[1] = 1;
        RemoteBuffer control = batch.Allocate(ControlHeaderSize + (numbers.Length * sizeof(int)) + sizeof(ulong));
        RemoteBuffer header = batch.Allocate(HeaderSize);
        Span<ulong> fields = header.As<ulong>();
        fields[2] = vector.Address.Value;
        fields[3] = 1;
        fields[4] = control.Address.Value;
        fields[5] = (ulong)ControlMessages.Space(numbers.Length * sizeof(int));
        batch.Call(Sysno.recvmsg, root.Number, header, (int)(MessageFlags.MSG_CMSG_CLOEXEC | MessageFlags.MSG_DONTWAIT));

        // They come at the lowest free numbers: below the region, since there is nothing else yet. A word is more than an int: the kernel
        // takes the lower half.
        for (int i = 0; i < numbers.Length; i++)
        {
            RemoteArgument received = RemoteArgument.At(control.Address + ControlHeaderSize + (ulong)(i * sizeof(int)));
            batch.Call(Sysno.dup2, received, numbers[i]);
            batch.Call(Sysno.close, received);
        }

        batch.Run("hand over descriptors");
    }

    private static bool IsInherited(int fd)
    {
        const int CloseOnExec = 1;
        SysResult flags = Sys.Fcntl(fd, FcntlCommand.F_GETFD);
        return !flags.IsError && (flags.Int32 & CloseOnExec) == 0;
    }
}
