using Firn.Engine.Tests.RoundTrip;

namespace Firn.Engine.Tests.Containers;

/// <summary>Somebody at a terminal of tmux, who types what goes to a container, and sees what that answers.</summary>
internal sealed class TerminalPerson
{
    private readonly PidNamespace space;
    private readonly string tmux = Programs.Command("/usr/bin/tmux");
    private readonly string server;

    /// <summary>Sits down. The container's terminal is taken from <see cref="ConsoleSocket"/>.</summary>
    public TerminalPerson(PidNamespace space)
    {
        this.space = space;
        server = Path.Combine(space.Directory, "tmux");
        ConsoleSocket = Path.Combine(space.Directory, "console");
        Tmux(
            "new-session", "-d", "-x", "90", "-y", "30",
            Programs.Command("/usr/bin/python3"), Programs.Data("console.py"), ConsoleSocket, "person");
        PidNamespace.Until(() => File.Exists(ConsoleSocket), "the socket is there");
    }

    /// <summary>Where an engine brings a container's terminal.</summary>
    public string ConsoleSocket { get; }

    /// <summary>The lines on the screen.</summary>
    public IReadOnlyList<string> Screen => Tmux("capture-pane", "-p").Split('\n').Select(line => line.TrimEnd()).ToList();

    /// <summary>Types keys by tmux's names (tmux(1), send-keys).</summary>
    public void Type(params string[] keys) => Tmux(["send-keys", .. keys]);

    /// <summary>Types a line, and waits for one that answers it.</summary>
    public void Ask(string line, string answer)
    {
        Tmux("send-keys", "-l", line);
        Type("Enter");
        MustSee(answer);
    }

    /// <summary>Waits until a line is on the screen.</summary>
    public void MustSee(string line)
    {
        try
        {
            PidNamespace.Until(() => Screen.Contains(line), $"`{line}` is on the screen");
        }
        catch (TimeoutException exception)
        {
            throw new TimeoutException($"{exception.Message}:\n{string.Join('\n', Screen)}", exception);
        }
    }

    private string Tmux(params string[] command)
    {
        Outcome outcome = space.Run(["env", "TERM=xterm", "LC_ALL=C.UTF-8", tmux, "-S", server, "-f", "/dev/null", .. command]);
        return outcome.Status == 0 ? outcome.Output : throw new InvalidOperationException($"tmux: {outcome.Error}");
    }
}
