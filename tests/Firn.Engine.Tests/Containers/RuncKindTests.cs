using System.Text.Json.Nodes;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>The targets of kinds, each the first process of a container of runc, with its work directory bound from outside.</summary>
public sealed class RuncKindTests
{
    // What runc has an option for.
    private static readonly string[] Known = ["--file-locks", "--tcp-established"];

    // Three make a root of their own, which is of no engine's; runc takes a process whose first thread has exited for one that has
    // ended; and what is left of a client that has closed goes with the network namespace, so that the last one's server learns it sooner.
    private static readonly string[] Others = ["mnt_container", "mnt_overlay", "mnt_propagation", "task_dead_leader", "inet_accept_early"];

    // What runc has no option for isn't among them.
    public static IEnumerable<TheoryDataRow<string>> Targets => TargetSource.All
        .Where(target => target.Refusal is null && target.Options.Concat(target.DumpOptions).All(Known.Contains))
        .Where(target => !Others.Contains(target.Name))
        .Select(target => new TheoryDataRow<string>(target.Name));

    private static string[] Rights =>
    [
        "CAP_AUDIT_CONTROL", "CAP_BPF", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_IPC_LOCK", "CAP_KILL",
        "CAP_LEASE", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_NET_BROADCAST", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
        "CAP_SYSLOG", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_NICE", "CAP_SYS_PTRACE", "CAP_SYS_TTY_CONFIG", "CAP_WAKE_ALARM",
    ];

    [Theory(SkipTestWithoutData = true)]
    [MemberData(nameof(Targets))]
    public void A_kind_is_whole_in_a_container(string name)
    {
        TargetSource target = TargetSource.All.Single(target => target.Name == name);
        string work = Directory.CreateTempSubdirectory("firn-work-").FullName;
        try
        {
            using RuncContainer container = RuncContainer.OfDebian([$"/{name}", "/work"], config =>
            {
                JsonArray mounts = config["mounts"]!.AsArray();
                mounts.Add((JsonNode)RuncContainer.Bind(Programs.Target(name), $"/{name}", "ro"));
                mounts.Add((JsonNode)RuncContainer.Bind(work, "/work", "rw"));

                // Some of the targets read in it what they have to wait for.
                JsonArray masked = config["linux"]!["maskedPaths"]!.AsArray();
                masked.Remove(masked.Single(path => (string?)path == "/proc/timer_list"));
                foreach (string set in (ReadOnlySpan<string>)["bounding", "effective", "permitted"])
                {
                    config["process"]!["capabilities"]![set] = RuncContainer.Array(Rights);
                }
            });
            container.Start();
            string skipped = Path.Combine(work, "skipped"), result = Path.Combine(work, "result");
            PidNamespace.Until(
                () => File.Exists(Path.Combine(work, "ready")) || File.Exists(skipped) || container.Status != "running",
                $"{name} is ready");
            if (File.Exists(skipped))
            {
                throw Programs.Skipped(File.ReadAllText(skipped));
            }

            string[] options = [.. target.Options.Concat(target.DumpOptions)];
            container.Checkpoint(options);
            container.Restore(options);
            container.Command("kill", "USR1");
            PidNamespace.Until(() => File.Exists(result) || container.Status != "running", "the target has checked itself");
            Assert.True(File.Exists(result), "the target ended before it had checked itself");
            Assert.Equal("ok\n", File.ReadAllText(result));
        }
        finally
        {
            Directory.Delete(work, recursive: true);
        }
    }
}
