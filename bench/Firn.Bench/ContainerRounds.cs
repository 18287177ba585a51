using Firn.Engine.Tests.Containers;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Bench;

/// <summary>A container of runc: `runc checkpoint` and `runc restore`, whole, as a person waits for them.</summary>
internal static class ContainerRounds
{
    public const string Name = "a container of runc, 16 MiB: `runc checkpoint`, `runc restore -d`";
    private const string Clock = "tmp/clock";

    public static IReadOnlyList<(Tool Tool, Samples Samples)> Run(IReadOnlyList<Tool> tools, int rounds)
    {
        List<(Tool Tool, Samples Samples)> results = [.. tools.Select(tool => (tool, new Samples()))];
        for (int round = 0; round <= rounds; round++)
        {
            foreach ((Tool tool, Samples samples) in results)
            {
                try
                {
                    Once(tool, round == 0 ? new Samples() : samples);
                }
                catch (InvalidOperationException exception)
                {
                    Console.Error.WriteLine($"{tool.Name}, {Name}: {exception.Message}");
                    return results;
                }
            }
        }

        return results;
    }

    // One that leaves it running, for the standstill; then one that ends it, and the restore.
    private static void Once(Tool tool, Samples samples)
    {
        using var container = new RuncContainer($"exec /bin/clocked memory 16 /{Clock}", criu: tool.Program);
        string clock = Path.Combine(container.RootFileSystem, Clock);
        File.Copy(Path.Combine(Programs.Top, ".build/clocked-static"), Path.Combine(container.RootFileSystem, "bin/clocked"));
        container.Start();
        PidNamespace.Until(() => File.Exists(clock), "the target runs");
        Thread.Sleep(50);
        _ = Rounds.Longest(container.Space, container.InitPid, clock);
        Must(container, container.TryCheckpoint("--leave-running"));
        double still = Rounds.Longest(container.Space, container.InitPid, clock);
        Outcome dumped = Must(container, container.TryCheckpoint());
        Outcome restored = Must(container, container.TryRestore());
        _ = Rounds.Longest(container.Space, container.InitPid, clock);
        long size = Directory.GetFiles(container.Images, "*.img").Sum(file => new FileInfo(file).Length);
        samples.Add(dumped.Duration.TotalMilliseconds, restored.Duration.TotalMilliseconds, still, size);
    }

    private static Outcome Must(RuncContainer container, Outcome outcome)
        => outcome.Status == 0 ? outcome : throw new InvalidOperationException($"{outcome.Error}{container.Said()}");
}
