using Firn.Cli.Talk;
using Firn.Engine;

namespace Firn.Cli.Commands;

/// <summary>`firn freeze` and `firn thaw`: a running tree stops in its cgroup, and goes on.</summary>
internal static class FreezeCommand
{
    public static int Freeze(Invocation invocation)
        => Run(invocation, log
            => [Checkpointer.Freeze(invocation.Tree, invocation.FreezeCgroup, invocation.TimeoutSeconds, log)], "frozen");

    public static int Thaw(Invocation invocation)
        => Run(invocation, log => Checkpointer.Thaw(invocation.Tree, invocation.FreezeCgroup, log), "thawed");

    private static int Run(Invocation invocation, Func<LogFile, IReadOnlyList<string>> act, string state)
    {
        if (invocation.Tree == 0 && invocation.FreezeCgroup is null)
        {
            throw new UsageException(
                $"{invocation.Verb}: which tree? name the pid of its root with -t PID, or a cgroup with --freeze-cgroup");
        }

        using LogFile log = LogFile.Open(invocation);
        IReadOnlyList<string> cgroups = act(log);
        if (invocation.Json)
        {
            Account.WriteJson(json =>
            {
                json.WriteString("state", state);
                json.WriteStartArray("cgroups");
                foreach (string cgroup in cgroups)
                {
                    json.WriteStringValue(cgroup);
                }

                json.WriteEndArray();
            });
        }
        else if (invocation.Verbosity > 0)
        {
            StandardError.WriteLine($"{invocation.Verb}: {string.Join(", ", cgroups)}");
        }

        return 0;
    }
}
