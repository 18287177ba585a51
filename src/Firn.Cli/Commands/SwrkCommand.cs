using System.Globalization;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Rpc;

namespace Firn.Cli.Commands;

/// <summary>`criu swrk FD`: serves the client at the other end of a socket that it has left open, and nobody else.</summary>
/// <remarks>Descriptors 0 to 2 may be those of the container that is restored: nothing is read from or written to them.</remarks>
internal static class SwrkCommand
{
    public static int Run(Invocation invocation, string[] arguments)
    {
        if (invocation.Operands is not [string text]
            || !int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int descriptor))
        {
            throw new UsageException("which descriptor? `swrk FD` is for a container engine, which leaves its socket open as FD");
        }

        return Serve(descriptor, arguments, isService: false);
    }

    /// <exception cref="UsageException">The descriptor is no socket of the kind that is spoken over.</exception>
    public static int Serve(int descriptor, string[] arguments, bool isService)
    {
        SysResult asked = Sys.GetSocketOption(descriptor, SocketLevel.SOL_SOCKET, SocketOption.SO_TYPE, out int type);
        if (asked.IsError || (SocketType)type != SocketType.SOCK_SEQPACKET)
        {
            throw new UsageException(
                $"descriptor {descriptor} is {(asked.IsError ? "no socket" : "a socket of another type")}; a client's is of "
                    + "SOCK_SEQPACKET");
        }

        // A program that is executed, an action script say, is no part of the conversation.
        _ = Sys.CloseOnExec(descriptor, descriptor);
        return Conversation.Run(descriptor, new RequestHost(arguments), isService);
    }
}
