using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Rules for packets in a network namespace of the tree's own come back. `nft` and `iptables-legacy` look and fill.</summary>
public sealed class PacketFilterTests
{
    private const int SIGUSR1 = 10;
    private const string Target = "unix_pair";

    private const string Ruleset = """
        table ip nat {
          chain pre {
            type nat hook prerouting priority -100; policy accept;
            tcp dport 8080 dnat to 10.0.0.5:80 comment "to the server"
          }
          chain post {
            type nat hook postrouting priority 100;
            oifname "eth0" masquerade random
          }
        }
        table inet filter {
          counter c1 { 
            packets 17 bytes 1234
          }
          quota q1 { 
            over 25 mbytes used 1 kbytes
          }
          limit l1 {
            rate 10/second burst 5 packets
          }
          ct helper ftp-h {
            type "ftp" protocol tcp;
          }
          set addrs { 
            type ipv4_addr; flags interval, timeout; timeout 1h;
            elements = { 10.0.0.0/8 comment "inner", 192.168.1.1-192.168.1.77 timeout 30m }
          }
          set dyn {
            type ipv4_addr . inet_service; flags dynamic,timeout; timeout 1d; size 1000;
          }
          set named {
            type inet_service; counter; elements = { 22 counter packets 5 bytes 99, 80, 443 }
          }
          set concat {
            type ipv4_addr . inet_service; flags interval; elements = { 10.1.0.0/16 . 80-90, 10.2.0.1 . 22 }
          }
          map m1 {
            type inet_service : ipv4_addr; elements = { 80 : 10.0.0.1, 81 : 10.0.0.2 }
          }
          chain other {
            counter packets 3 bytes 4
            return
          }
          map vm {
            type ipv4_addr : verdict; elements = { 10.9.9.9 : drop, 10.9.9.8 : jump other }
          }
          map objs {
            type ipv4_addr : counter; elements = { 10.7.7.7 : "c1" }
          }
          chain input {
            type filter hook input priority 0; policy drop;
            ct state vmap { established : accept, related : accept, invalid : drop }
            iif "lo" accept
            ip saddr @addrs drop
            ip saddr . tcp dport @concat accept
            tcp dport { 1000-2000, 3000 } counter name "c1" accept
            tcp dport @named limit rate 3/minute burst 7 packets log prefix "hello " level warn accept
            ip saddr vmap @vm
            counter name ip saddr map @objs
            meta mark set 0x1234
            tcp dport 25 add @dyn { ip saddr . tcp dport timeout 1h } reject with tcp reset
            ip6 saddr fd00::/8 quota name "q1" goto other
            tcp dport 21 ct helper set "ftp-h"
            jump {
              ip protocol icmp accept
              udp dport 53 accept
            }
            numgen inc mod 3 vmap { 0 : accept, 1 : drop, 2 : continue }
            fib saddr oif missing drop
            tcp option maxseg size set 1200
          }
          chain forward {
            type filter hook forward priority 10; policy accept;
          }
        }
        table ip6 raw {
          flags dormant
          chain p {
            type filter hook prerouting priority -300;
          }
        }
        table arp a {
          chain i {
            type filter hook input priority 0;
            arp operation request accept
          }
        }
        table netdev nd {
          chain ing {
            type filter hook ingress device "lo" priority 0;
            counter packets 7 bytes 8
          }
        }
        """;

    [Fact]
    public void Tables_of_nftables_are_as_they_were_with_counters_and_order()
    {
        using var space = new PidNamespace();
        int root = Start(space, out string work);
        Load(space, root);
        string before = List(space, root);
        string images = Dump(space, root);
        root = Restore(space, images);
        Assert.Equal(before, List(space, root));
        CheckItself(space, root, work);
    }

    [Fact]
    public void The_text_of_the_format_is_understood_too()
    {
        using var space = new PidNamespace();
        int root = Start(space, out string work);
        Load(space, root);
        string before = List(space, root);
        string images = Dump(space, root);

        // As others write it: without Firn's own form.
        string image = Directory.GetFiles(images, "netns-*.img").Single();
        string json = Path.Combine(space.Directory, "netns.json");
        space.FirnMust("decode", "-i", image, "-o", json);
        JsonNode node = JsonNode.Parse(File.ReadAllText(json))!;
        Assert.True(node["entries"]![0]!.AsObject().Remove("nftables"));
        File.WriteAllText(json, node.ToJsonString());
        space.FirnMust("encode", "-i", json, "-o", image);
        root = Restore(space, images);
        Assert.Equal(before, List(space, root));
        CheckItself(space, root, work);
    }

    [Fact]
    public void Tables_of_iptables_are_as_they_were()
    {
        using var space = new PidNamespace();
        int root = Start(space, out string work);
        string tool = Programs.Command("/usr/sbin/iptables-legacy", "/sbin/iptables-legacy");
        if (Within(space, root, tool, "-A", "INPUT", "-p", "tcp", "--dport", "7", "-j", "ACCEPT") is { Status: not 0 } outcome)
        {
            Assert.Skip($"the kernel has no iptables-legacy: {outcome.Error}");
        }

        Must(Within(space, root, tool, "-P", "FORWARD", "DROP"));
        Must(Within(space, root, tool, "-A", "FORWARD", "-s", "10.1.0.0/16", "-m", "comment", "--comment", "two words", "-j", "ACCEPT"));
        string before = Tables(space, root);
        Assert.Contains("two words", before, StringComparison.Ordinal);
        string images = Dump(space, root);
        root = Restore(space, images);
        Assert.Equal(before, Tables(space, root));
        CheckItself(space, root, work);
    }

    [Fact]
    public void A_table_that_belongs_to_a_socket_is_refused_by_name()
    {
        using var space = new PidNamespace();
        int root = Start(space, out string work);
        string commands = Path.Combine(space.Directory, "commands");
        Must(space.Run("/usr/bin/mkfifo", commands));
        string nft = Programs.Command("/usr/sbin/nft", "/sbin/nft");
        int owner = space.Start(
            [Programs.Command("/usr/bin/nsenter"), "-t", $"{root}", "-n", "/bin/sh", "-c", $"exec {nft} -i <{commands}"]);
        using (FileStream writer = new(commands, FileMode.Open, FileAccess.Write))
        {
            writer.Write("add table inet mine { flags owner; }\n"u8);
            writer.Flush();
            PidNamespace.Until(() => List(space, root).Contains("mine", StringComparison.Ordinal), "the table is there");
            Outcome outcome = space.Firn("dump", "-t", $"{root}", "-D", space.MakeDirectory("images"));
            Assert.Equal(1, outcome.Status);
            Assert.Contains("[net-nftables]", outcome.Error, StringComparison.Ordinal);
        }

        space.Wait(owner);
        CheckItself(space, root, work);
    }

    [Fact]
    public void Tracked_connections_are_known_again_with_state_time_and_changed_addresses()
    {
        using var space = new PidNamespace();
        int root = Start(space, out string work);
        string tool = Programs.Command("/usr/sbin/conntrack", "/sbin/conntrack");
        string[] entries =
        [
            "-p tcp -s 10.1.0.1 -d 10.1.0.2 --sport 5 --dport 6 --state ESTABLISHED -t 5000 -u ASSURED,SEEN_REPLY --mark 7",
            "-p udp -s 10.1.0.1 -d 10.1.0.2 --sport 5 --dport 6 -t 3000 --src-nat 192.0.2.4",
            "-p tcp -s 10.1.0.1 -d 10.1.0.3 --sport 50 --dport 60 --state SYN_SENT -t 4000 --dst-nat 192.0.2.9:80",
            "-p icmp -s 10.1.0.1 -d 10.1.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 2000",
            "-p tcp -s fd00::1 -d fd00::2 --sport 5 --dport 6 --state TIME_WAIT -t 1000",
        ];
        foreach (string entry in entries)
        {
            Must(Within(space, root, [tool, "-I", .. entry.Split(' ')]));
        }

        string[] before = Connections(space, root, tool);
        Assert.Equal(entries.Length, before.Length);
        string images = Dump(space, root);
        root = Restore(space, images);
        Assert.Equal(before, Connections(space, root, tool));
        CheckItself(space, root, work);
    }

    // Seconds go on, so that hundreds are compared; use tells how many look at it.
    private static string[] Connections(PidNamespace space, int root, string tool)
        => [.. ((string[])["ipv4", "ipv6"]).SelectMany(family =>
        {
            Outcome outcome = Within(space, root, tool, "-L", "-f", family);
            Must(outcome);
            return Regex.Replace(outcome.Output, @" (\d+)\d\d (\w*) ?(src=| )|use=\d+", match => match.Groups[1].Success
                ? $" {Math.Round(double.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) / 10) * 10} {match.Groups[2].Value} "
                    + match.Groups[3].Value
                : string.Empty).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        }).Order(StringComparer.Ordinal)];

    [Fact]
    public void Sets_of_ipset_are_refused_by_name()
    {
        using var space = new PidNamespace();
        int root = Start(space, out string work);
        Outcome outcome = Within(space, root, Programs.Command("/usr/sbin/ipset", "/sbin/ipset"), "create", "some", "hash:ip");
        if (outcome.Status != 0)
        {
            Assert.Skip($"the kernel has no ipset: {outcome.Error}");
        }

        outcome = space.Firn("dump", "-t", $"{root}", "-D", space.MakeDirectory("images"));
        Assert.Equal(1, outcome.Status);
        Assert.Contains("[net-ipset]", outcome.Error, StringComparison.Ordinal);
        CheckItself(space, root, work);
    }

    private static void Load(PidNamespace space, int root)
    {
        string rules = Path.Combine(space.Directory, "rules");
        File.WriteAllText(rules, Ruleset);
        Must(Within(space, root, Programs.Command("/sbin/ip", "/usr/sbin/ip", "/bin/ip"), "link", "set", "lo", "up"));
        Must(Within(space, root, Programs.Command("/usr/sbin/nft", "/sbin/nft"), "-f", rules));
    }

    // What is left of the time of elements goes on.
    private static string List(PidNamespace space, int root)
    {
        Outcome outcome = Within(space, root, Programs.Command("/usr/sbin/nft", "/sbin/nft"), "list", "ruleset");
        Must(outcome);
        return Regex.Replace(outcome.Output, @" expires \w+", " expires");
    }

    private static string Tables(PidNamespace space, int root)
    {
        Outcome outcome = Within(space, root, Programs.Command("/usr/sbin/iptables-legacy-save", "/sbin/iptables-legacy-save"), "-c");
        Must(outcome);
        return Regex.Replace(outcome.Output, "^#.*$", string.Empty, RegexOptions.Multiline);
    }

    private static Outcome Within(PidNamespace space, int root, params string[] command)
        => space.Run([Programs.Command("/usr/bin/nsenter"), "-t", $"{root}", "-n", .. command]);

    private static void Must(Outcome outcome) => Assert.True(outcome.Status == 0, outcome.Error);

    private static int Start(PidNamespace space, out string work)
    {
        string directory = work = space.MakeDirectory("work");
        space.Start([Programs.Target("contain"), "pn", Programs.Target(Target), directory]);
        PidNamespace.Until(() => File.Exists(Path.Combine(directory, "ready")), $"{Target} is ready");
        return space.Pids.Single(pid => File.ReadLines(space.Proc(pid, "status"))
            .First(line => line.StartsWith("NSpid:", StringComparison.Ordinal)).EndsWith("\t1", StringComparison.Ordinal));
    }

    private static string Dump(PidNamespace space, int root)
    {
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{root}", "-D", images);
        PidNamespace.Until(() => !space.Pids.Contains(root), "the tree is gone");
        return images;
    }

    private static int Restore(PidNamespace space, string images)
    {
        space.FirnMust("restore", "-D", images, "-d", "--pidfile", "pid");
        return int.Parse(File.ReadAllText(Path.Combine(images, "pid")), CultureInfo.InvariantCulture);
    }

    private static void CheckItself(PidNamespace space, int root, string work)
    {
        string result = Path.Combine(work, "result");
        space.Kill(root, SIGUSR1);
        PidNamespace.Until(() => File.Exists(result) || !space.Pids.Contains(root), "the target has checked itself");
        Assert.Equal("ok\n", File.ReadAllText(result));
    }
}
