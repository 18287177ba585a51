using Firn.Engine.Kinds.Events;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>
/// Makes the calls by which the kernel learns whom SO_PEERCRED shows: listen, connect and socketpair, by a process with that id.
/// </summary>
/// <remarks>
/// Kernel: net/unix/af_unix.c, init_peercred(). Mostly the task itself comes later, and takes the same id again; the socket goes on showing
/// the number, though the process that it stands for has ended. The root of a pid namespace is there already, and makes its calls itself.
/// </remarks>
internal static class PeerIdentity
{
    private static readonly SysResult Nobody = new(-(nint)Errno.ESRCH);

    /// <summary>listen(2) as somebody.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="who">Who is to be seen; null where images don't say.</param>
    /// <param name="socket">The socket.</param>
    /// <param name="backlog">Its backlog.</param>
    /// <returns>What it gives; or an error where nobody can have that id.</returns>
    public static SysResult Listen(RestoreContext context, SkCredentialsEntry? who, Fd socket, int backlog)
        => Existing(context, who) is { } task
            ? InTask(task, Inner(context, who!), socket, (batch, fd) => batch.Try(Sysno.listen, fd, backlog))
            : ByPassing(context, who, identity => Sys.ListenAs(identity, socket.Number, backlog));

    /// <summary>connect(2) as somebody.</summary>
    /// <inheritdoc cref="Listen"/>
    public static SysResult Connect(RestoreContext context, SkCredentialsEntry? who, Fd socket, byte[] address)
        => Existing(context, who) is { } task
            ? InTask(task, Inner(context, who!), socket, (batch, fd) => batch.Try(Sysno.connect, fd, batch.Data(address), address.Length))
            : ByPassing(context, who, identity => Sys.ConnectAs(identity, socket.Number, address));

    /// <summary>socketpair(2) as somebody.</summary>
    /// <inheritdoc cref="Listen"/>
    public static SysResult SocketPair(RestoreContext context, SkCredentialsEntry? who, SocketType type, out int first, out int second)
    {
        int one = -1;
        int two = -1;
        SysResult result = Existing(context, who) is { } task
            ? PairInTask(task, Inner(context, who!), type, out one, out two)
            : ByPassing(context, who, identity => Sys.SocketPairAs(identity, SocketFamily.AF_UNIX, type, out one, out two));
        (first, second) = (one, two);
        return result;
    }

    private static SysResult ByPassing(RestoreContext context, SkCredentialsEntry? who, Func<Identity, SysResult> call)
        => who is { Pid: > 0 }
            ? PassingProcess.WithinPids(context, () => call(new Identity(who.Pid, who.Uid, who.Gid)))
            : Nobody;

    // The root of a pid namespace, as long as no other task is.
    private static Remote? Existing(RestoreContext context, SkCredentialsEntry? who)
        => who is { Pid: > 0 } && context.OwnNamespace(CloneFlags.CLONE_NEWPID) is not null
            ? context.Tasks.Find(task => task.Pid == who.Pid)?.Leader.Remote
            : null;

    // Ids in messages are Firn's by now; in a user namespace the task's are others, and it stays its root.
    private static (uint User, uint Group) Inner(RestoreContext context, SkCredentialsEntry who)
        => context.Images.Ids is null ? (who.Uid, who.Gid) : (0, 0);

    private static SysResult InTask(Remote remote, (uint User, uint Group) who, Fd socket, Func<RemoteBatch, RemoteArgument, Slot> call)
    {
        const string Purpose = "sockets whose peers see the task";
        using var pidFd = new Fd(Sys.PidfdOpen(remote.Tracee.Tid).OrThrow($"pidfd_open({remote.Tracee.Tid})").Int32);
        using var porter = new FdPorter(remote, pidFd);
        porter.QueueOpen();
        remote.Batch.Run(Purpose);
        porter.Send([socket.Number]);
        RemoteArgument fd = porter.QueueReceive()[0];
        QueueIds(remote.Batch, who.User, who.Group);
        Slot done = call(remote.Batch, fd);
        QueueIds(remote.Batch, 0, 0);
        porter.QueueClose();
        remote.Batch.Run(Purpose);
        return done.Result;
    }

    private static SysResult PairInTask(Remote remote, (uint User, uint Group) who, SocketType type, out int first, out int second)
    {
        const string Purpose = "a socket pair whose ends see the task";
        first = second = -1;
        RemoteBatch batch = remote.Batch;
        RemoteBuffer pair = batch.Allocate(16);
        QueueIds(batch, who.User, who.Group);
        Slot done = batch.Try(Sysno.socketpair, (int)SocketFamily.AF_UNIX, (int)type, 0, pair);
        QueueIds(batch, 0, 0);
        int[] ends = [-1, -1];
        batch.Then(() => ends = [.. pair.As<int>()[..2]]);
        batch.Run(Purpose);
        if (done.Result.IsError)
        {
            return done.Result;
        }

        using var pidFd = new Fd(Sys.PidfdOpen(remote.Tracee.Tid).OrThrow($"pidfd_open({remote.Tracee.Tid})").Int32);
        first = Sys.PidfdGetFd(pidFd.Number, ends[0]).OrThrow($"pidfd_getfd({remote.Tracee.Tid}, {ends[0]})").Int32;
        second = Sys.PidfdGetFd(pidFd.Number, ends[1]).OrThrow($"pidfd_getfd({remote.Tracee.Tid}, {ends[1]})").Int32;
        batch.Call(Sysno.close, ends[0]);
        batch.Call(Sysno.close, ends[1]);
        batch.Run(Purpose);
        return done.Result;
    }

    // The saved ids stay what they are, so the way back is open (credentials(7)).
    private static void QueueIds(RemoteBatch batch, uint user, uint group)
    {
        const int Keep = -1;
        if (user == 0)
        {
            batch.Try(Sysno.setresuid, Keep, user, Keep);
            batch.Try(Sysno.setresgid, Keep, group, Keep);
        }
        else
        {
            batch.Try(Sysno.setresgid, Keep, group, Keep);
            batch.Try(Sysno.setresuid, Keep, user, Keep);
        }
    }
}
