using Firn.Engine.Hooks;
using Firn.Rpc.Messages;

namespace Firn.Rpc;

/// <summary>Tells the client of each moment, and waits for its word before it goes on (`notify_scripts`).</summary>
/// <param name="socket">The conversation.</param>
internal sealed class Notifier(PacketSocket socket) : IHooks
{
    /// <inheritdoc/>
    public void Call(HookCall call)
    {
        // The pid goes with two of them only: clients read it there.
        bool hasPid = call.Name is HookNames.SetupNamespaces or HookNames.PostRestore;
        _ = Notify(call.Name, hasPid ? call.RootPid : 0, -1);
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> QueryExternal() => Notify(HookNames.QueryExternalFiles, 0, -1).Opts?.External ?? [];

    /// <inheritdoc/>
    public bool TakeTerminal(int master)
    {
        _ = Notify(HookNames.OrphanTerminalMaster, 0, master);
        return true;
    }

    private Request Notify(string name, int pid, int descriptor)
    {
        var notification = new Notification { Script = name };
        if (pid > 0)
        {
            notification.Pid = pid;
        }

        if (!socket.Send(new Reply { Type = RequestType.Notify, Success = true, Notify = notification }, descriptor))
        {
            throw new HookException(name, $"the client has gone away before it could be told of {name}");
        }

        Request answer = socket.ReceiveRequest()
            ?? throw new HookException(name, $"the client has gone away at {name}, or has answered with what is no message");
        return answer.Type == RequestType.Notify && answer.NotifySuccess
            ? answer
            : throw new HookException(name, $"the client says at {name} that it must not go on; its own log says why");
    }
}
