namespace Firn.Engine.Tests.RoundTrip;

/// <summary>The simplest program there is.</summary>
internal static class Sleeper
{
    /// <summary>Starts it, and waits until it has been executed: before, it is still a copy of what starts it.</summary>
    public static int Start(PidNamespace space)
    {
        int pid = space.Start(["/bin/sleep", "1000"]);
        PidNamespace.Until(() => File.ReadAllText(space.Proc(pid, "comm")) == "sleep\n", "sleep runs");
        return pid;
    }
}
