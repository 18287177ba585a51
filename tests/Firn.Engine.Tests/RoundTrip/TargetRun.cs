using System.Globalization;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>A target that checks itself when it is told to, for tests that KindTests can't do.</summary>
internal sealed class TargetRun
{
    private const int SIGUSR1 = 10;

    private readonly PidNamespace space;
    private readonly string work;

    /// <summary>Starts it, and waits until it is set up.</summary>
    public TargetRun(PidNamespace space, string name, params string[] arguments)
    {
        this.space = space;
        work = space.MakeDirectory("work");
        Pid = space.Start([Programs.Target(name), work, .. arguments]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")) || !space.Pids.Contains(Pid), $"{name} is ready");
        Assert.True(File.Exists(Path.Combine(work, "ready")), $"{name} could not be set up");
    }

    /// <summary>Its process id.</summary>
    public int Pid { get; }

    /// <summary>The same for a command line.</summary>
    public string PidText => Pid.ToString(CultureInfo.InvariantCulture);

    /// <summary>Dumps it into a new directory, some times with -R and once without, and gives that directory.</summary>
    public string Dump(int times, params string[] options)
    {
        for (int time = 1; time <= times; time++)
        {
            space.FirnMust(["dump", "-t", PidText, "-D", space.MakeDirectory($"images-{time}"), "-R", .. options]);
        }

        string images = space.MakeDirectory("images");
        space.FirnMust(["dump", "-t", PidText, "-D", images, .. options]);
        space.UntilEmpty();
        return images;
    }

    /// <summary>Lets it check itself, and fails the test with what it found.</summary>
    public void CheckItself()
    {
        string result = Path.Combine(work, "result");
        space.Kill(Pid, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(Pid), "the target has checked itself");
        Assert.True(File.Exists(result), "the target ended before it had checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
