using System.Globalization;
using System.Text;
using Firn.Cli.Talk;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli.Commands;

/// <summary>`firn service`: listens at a socket, and starts a worker for each client.</summary>
/// <remarks>
/// A client is served only with rights that it has itself: the worker asks who has connected. Workers and the service in the background are
/// this program again, executed anew, since a managed program can't fork.
/// </remarks>
internal static class ServiceCommand
{
    /// <summary>The worker of one connection; its descriptor follows.</summary>
    public const string WorkerVerb = "service-worker";

    /// <summary>The service in the background; its descriptor follows.</summary>
    public const string ListenerVerb = "service-listener";

    private const string DefaultAddress = "criu_service.socket";
    private const string Itself = "/proc/self/exe";
    private const int Backlog = 16;
    private const int Inherited = 3;
    private const uint ForAll = 0x1B6; // rw-rw-rw-

    public static int Run(Invocation invocation, string[] arguments)
    {
        string address = Path.GetFullPath(invocation.Address ?? Path.Combine(invocation.WorkPath, DefaultAddress));
        using Fd listener = Listen(address);
        int pid = Sys.GetPid();
        if (invocation.Detached)
        {
            using Fd nothing = Sys.Open("/dev/null", OpenFlags.O_RDWR);
            pid = Start(ListenerVerb, listener, arguments, [(nothing.Number, 0), (nothing.Number, 1), (nothing.Number, 2)]);
        }

        if (invocation.PidFile is { } file)
        {
            File.WriteAllText(Path.Combine(invocation.WorkPath, file), pid.ToString(CultureInfo.InvariantCulture));
        }

        if (invocation.StatusFd is { } status)
        {
            _ = Sys.Write(status, [0]);
        }

        return invocation.Detached ? 0 : Serve(listener.Number, arguments);
    }

    /// <summary>Runs as the worker or the listener that this program has started.</summary>
    public static int RunInherited(string verb, string descriptor, string[] arguments)
    {
        int number = int.Parse(descriptor, CultureInfo.InvariantCulture);
        _ = Sys.CloseOnExec(number, number);
        return verb == WorkerVerb ? SwrkCommand.Serve(number, arguments, isService: true) : Serve(number, arguments);
    }

    private static Fd Listen(string address)
    {
        byte[] name = Encoding.UTF8.GetBytes(address);
        if (name.Length >= UnixPath.Length)
        {
            throw new UsageException($"service: {address} is longer than a socket's name can be; name another with --address");
        }

        byte[] socketAddress = SocketAddress.Unix([.. name, 0]);
        var listener = new Fd(
            Sys.Socket(SocketFamily.AF_UNIX, SocketType.SOCK_SEQPACKET | SocketType.SOCK_CLOEXEC).OrThrow("socket(AF_UNIX)").Int32);
        SysResult bound = Sys.Bind(listener.Number, socketAddress);
        if (bound.Errno == Errno.EADDRINUSE && !IsServed(socketAddress))
        {
            _ = Sys.UnlinkAt(At.AT_FDCWD, address);
            bound = Sys.Bind(listener.Number, socketAddress);
        }

        if (bound.IsError)
        {
            listener.Dispose();
            throw new UsageException($"service: can't listen at {address}: {ErrnoText.Describe(bound.Errno)}; name another with --address");
        }

        Sys.FchmodAt(At.AT_FDCWD, address, ForAll).OrThrow($"fchmodat({address})");
        Sys.Listen(listener.Number, Backlog).OrThrow($"listen({address})");
        return listener;
    }

    // What a service that was killed has left behind refuses.
    private static bool IsServed(byte[] address)
    {
        using var probe = new Fd(
            Sys.Socket(SocketFamily.AF_UNIX, SocketType.SOCK_SEQPACKET | SocketType.SOCK_CLOEXEC).OrThrow("socket(AF_UNIX)").Int32);
        return Sys.Connect(probe.Number, address).Errno != Errno.ECONNREFUSED;
    }

    private static int Serve(int listener, string[] arguments)
    {
        // Workers are reaped by the kernel.
        Sys.SetSignalAction(Signal.SIGCHLD, new KernelSigaction { sa_handler = 1 }).OrThrow("rt_sigaction(SIGCHLD, SIG_IGN)");
        while (true)
        {
            SysResult accepted = Sys.Accept(listener);
            if (accepted.Errno is Errno.EINTR or Errno.ECONNABORTED)
            {
                continue;
            }

            using var connection = new Fd(accepted.OrThrow("accept4").Int32);
            _ = Start(WorkerVerb, connection, arguments, [(0, 0), (1, 1), (2, 2)]);
        }
    }

    private static int Start(string verb, Fd descriptor, string[] arguments, IReadOnlyList<(int From, int To)> streams)
    {
        string[] environment =
        [
            .. Environment.GetEnvironmentVariables().Cast<System.Collections.DictionaryEntry>()
                .Select(variable => $"{variable.Key}={variable.Value}"),
        ];

        // By a number that no stream has: what is put in place first must not cover it.
        using var high = new Fd(
            Sys.Fcntl(descriptor.Number, FcntlCommand.F_DUPFD_CLOEXEC, 10).OrThrow($"fcntl({descriptor.Number}, F_DUPFD_CLOEXEC)").Int32);
        return Spawn.Start(
            [Itself, verb, $"{Inherited}", .. arguments], environment, [.. streams, (high.Number, Inherited)], newSession: true);
    }
}
