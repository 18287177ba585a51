using System.Globalization;
using Firn.Engine.Tests.RoundTrip;
using Xunit;

namespace Firn.Engine.Tests.Containers;

/// <summary>Servers of Debian's packages, each in a container of runc: checkpointed and restored ten times in a row.</summary>
public sealed class RuncServerTests
{
    private const int Rounds = 10;

    [Fact]
    public void Redis_has_all_its_keys_after_ten_rounds()
    {
        _ = Programs.Command("/usr/bin/redis-server");
        using RuncContainer container = RuncContainer.OfDebian(
            ["redis-server", "--dir", "/data", "--bind", "127.0.0.1", "--save", "", "--enable-debug-command", "yes"]);
        string Ask(params string[] words) => container.Exec(["redis-cli", .. words]).Trim();
        container.Start();
        Until(container, "PONG", "redis-cli", "ping");
        Ask("debug", "populate", "100000", "key", "100");
        string digest = Ask("debug", "digest");
        for (int round = 1; round <= Rounds; round++)
        {
            container.Checkpoint();
            container.Restore();
            Assert.Equal("100000", Ask("dbsize"));
            Assert.Equal(digest, Ask("debug", "digest"));

            // It writes, too; the next round has to bring that back.
            Ask("set", "key:7", $"{round}");
            digest = Ask("debug", "digest");
        }

        Assert.Equal($"{Rounds}", Ask("get", "key:7"));
    }

    [Fact]
    public void Nginx_and_all_its_workers_answer_after_ten_rounds()
    {
        const int Workers = 4;
        _ = Programs.Command("/usr/sbin/nginx");
        using RuncContainer container = RuncContainer.OfDebian(["nginx", "-c", "/data/nginx.conf"]);
        string files = Path.Combine(container.RootFileSystem, "data");
        File.WriteAllText(Path.Combine(files, "index.html"), "a page\n");
        File.WriteAllText(
            Path.Combine(files, "nginx.conf"),
            string.Create(
                CultureInfo.InvariantCulture,
                $$"""
                daemon off; worker_processes {{Workers}}; pid /run/nginx.pid; error_log /data/error.log;
                events { worker_connections 64; }
                http {
                    access_log /data/access.log;
                    server { listen 127.0.0.1:8080 reuseport; root /data; location = /who { return 200 "$pid\n"; } }
                }
                """));
        _ = Directory.CreateDirectory(Path.Combine(container.RootFileSystem, "var/lib/nginx"));
        _ = Directory.CreateDirectory(Path.Combine(container.RootFileSystem, "var/log/nginx"));
        string Fetch(string path) => container.Exec("curl", "-s", $"http://127.0.0.1:8080/{path}");
        container.Start();
        Until(container, "a page", "curl", "-s", "http://127.0.0.1:8080/");
        for (int round = 1; round <= Rounds; round++)
        {
            container.Checkpoint();
            container.Restore();
            Assert.Equal("a page\n", Fetch(string.Empty));
        }

        // Each worker has a socket of its own here, and the kernel spreads connections over them.
        HashSet<string> seen = [];
        PidNamespace.Until(
            () =>
            {
                seen.Add(Fetch("who"));
                return seen.Count == Workers;
            },
            "each worker answers");
        Assert.DoesNotContain("[alert]", File.ReadAllText(Path.Combine(files, "error.log")), StringComparison.Ordinal);
    }

    [Fact]
    public void Postgres_has_its_table_and_its_client_goes_on_over_ten_rounds()
    {
        string programs = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin")).First()
            : throw Programs.Skipped("postgresql is not installed");
        string[] user = [.. File.ReadLines("/etc/passwd").Select(line => line.Split(':')).First(fields => fields[0] == "postgres")];

        // A client of its own has one connection, and a statement in it that must survive: each row is one that it was asked for.
        const string Client = "prepare add as insert into counted select coalesce(max(id), -1) + 1 from counted;";
        string script = $"""
            initdb -D /data/db --data-checksums -A trust -N > /data/initdb && touch /data/made
            postgres -D /data/db -c listen_addresses= -c unix_socket_directories=/tmp > /data/log 2>&1 &
            until psql -h /tmp -c 'create table counted (id int primary key)' postgres > /dev/null 2>&1; do sleep 0.1; done
            (echo '{Client}'; while sleep 0.02; do echo 'execute add;'; done) | psql -q -h /tmp postgres > /data/client 2>&1 &
            wait
            """;
        using RuncContainer container = RuncContainer.OfDebian(
            ["sh", "-c", script],
            config =>
            {
                config["process"]!["env"]!.AsArray().Add($"PATH={programs}:/usr/bin");
                config["process"]!["user"]!["uid"] = int.Parse(user[2], CultureInfo.InvariantCulture);
                config["process"]!["user"]!["gid"] = int.Parse(user[3], CultureInfo.InvariantCulture);
            });
        string Ask(string statement) => container.Exec("psql", "-At", "-h", "/tmp", "-c", statement, "postgres").Trim();
        int Counted() => int.Parse(Ask("select count(*) from counted"), CultureInfo.InvariantCulture);
        const string Digest = "select count(*), md5(string_agg(m, '' order by id)) from t";
        container.Start();
        PidNamespace.Until(() => File.Exists(Path.Combine(container.RootFileSystem, "data/client")), "the client has begun");
        Ask("create table t as select g as id, md5(g::text) as m from generate_series(1, 100000) g");
        string digest = Ask(Digest);
        for (int round = 1; round <= Rounds; round++)
        {
            int before = Counted();
            PidNamespace.Until(() => Counted() > before, "the client goes on");
            container.Checkpoint();
            container.Restore();
            Assert.Equal(digest, Ask(Digest));
        }

        int last = Counted();
        PidNamespace.Until(() => Counted() > last, "the client goes on");
        Assert.Equal("t", Ask("select count(*) = max(id) + 1 from counted"));
        Assert.Empty(File.ReadAllText(Path.Combine(container.RootFileSystem, "data/client")));

        // Down in good order, and what lies on the disk is whole by PostgreSQL's own reckoning.
        string database = Path.Combine(container.RootFileSystem, "data/db");
        _ = container.TryExec("pg_ctl", "-D", "/data/db", "-m", "fast", "--no-wait", "stop");
        container.Space.UntilEmpty();
        Outcome outcome = container.Space.Run(
            "setpriv", $"--reuid={user[2]}", $"--regid={user[3]}", "--clear-groups", $"{programs}/pg_checksums", "--check", "-D", database);
        Assert.True(outcome.Status == 0, outcome.Output + outcome.Error);
    }

    // A server that is not up yet refuses its client.
    private static void Until(RuncContainer container, string answer, params string[] command)
        => PidNamespace.Until(() => container.TryExec(command).Output.Trim() == answer, $"{command[0]} gets its answer");
}
