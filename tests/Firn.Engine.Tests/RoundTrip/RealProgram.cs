using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>A program from the world, as a user would have it: how it is started, and how one sees that it goes on.</summary>
public abstract class RealProgram
{
    /// <summary>Options that its dump and restore need.</summary>
    public virtual string[] Options => [];

    /// <summary>All of them, by name.</summary>
    public static IReadOnlyDictionary<string, Func<RealProgram>> All { get; } = new Dictionary<string, Func<RealProgram>>
    {
        ["sleep"] = () => new Sleep(),
        ["bash-pipeline"] = () => new BashPipeline(),
        ["kitchen"] = () => new Kitchen(),
        ["python-threads"] = () => new PythonThreads(),
        ["redis"] = () => new Redis(),
        ["nginx"] = () => new Nginx(),
        ["dotnet-console"] = () => new DotnetConsole(),
        ["aspnet"] = () => new AspNet(),
    };

    /// <summary>Starts it, waits until it does its work, and gives the pid of its root.</summary>
    public abstract int Start(PidNamespace space);

    /// <summary>Fails the test unless it does its work now, and all that it held is there.</summary>
    public abstract void MustGoOn(PidNamespace space, int pid);

    /// <summary>A TCP port that nothing listens at.</summary>
    internal static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Waits until a file has some more lines than now, and gives all its complete lines.</summary>
    internal static string[] MoreLines(string path, int more)
    {
        int now = Lines(path).Length;
        PidNamespace.Until(() => Lines(path).Length >= now + more, $"{more} more lines in {path}");
        return Lines(path);
    }

    private static string[] Lines(string path)
    {
        if (!File.Exists(path))
        {
            return [];
        }

        string text = File.ReadAllText(path);
        int end = text.LastIndexOf('\n');
        return end < 0 ? [] : text[..end].Split('\n');
    }

    private sealed class Sleep : RealProgram
    {
        public override int Start(PidNamespace space)
        {
            int pid = space.Start(["/bin/sleep", "100000"]);
            PidNamespace.Until(() => File.ReadAllText(space.Proc(pid, "comm")) == "sleep\n", "sleep runs");
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            Assert.Equal("/bin/sleep\0100000\0", File.ReadAllText(space.Proc(pid, "cmdline")));
            PidNamespace.Until(() => File.ReadAllText(space.Proc(pid, "stat")).Contains(") S ", StringComparison.Ordinal), "it sleeps");
        }
    }

    private sealed class BashPipeline : RealProgram
    {
        private string output = string.Empty;

        public override int Start(PidNamespace space)
        {
            output = Path.Combine(space.Directory, "pipeline.out");
            int pid = space.Start(["/bin/bash", Programs.Data("pipeline.sh"), output]);
            _ = MoreLines(output, 3);
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            string[] lines = MoreLines(output, 5);
            Assert.Equal(Enumerable.Range(1, lines.Length).Select(number => $"{pid} row {number}"), lines);
        }
    }

    private sealed class Kitchen : RealProgram
    {
        private string log = string.Empty;

        public override string[] Options => ["--file-locks"];

        public override int Start(PidNamespace space)
        {
            string work = Path.Combine(space.Directory, "kitchen");
            log = Path.Combine(work, "log");
            int pid = space.Start([Programs.Command("/usr/bin/python3"), Programs.Data("kitchen.py"), work, $"{FreePort()}"]);
            _ = MoreLines(log, 2);
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            string[] lines = MoreLines(log, 3);
            Assert.All(lines, line => Assert.Equal("YYYYYYYYY", line.Split(' ')[4]));
            Assert.Equal(
                Enumerable.Range(1, lines.Length), lines.Select(line => int.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture)));
        }
    }

    private sealed class PythonThreads : RealProgram
    {
        private string output = string.Empty;

        public override int Start(PidNamespace space)
        {
            output = Path.Combine(space.Directory, "counted");
            int pid = space.Start([Programs.Command("/usr/bin/python3"), Programs.Data("counting.py"), output]);
            _ = MoreLines(output, 3);
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            int[] before = Counters(MoreLines(output, 1)[^1]);
            PidNamespace.Until(
                () => Counters(MoreLines(output, 1)[^1]).Zip(before, (after, then) => after > then).All(grown => grown),
                "each thread counts");
            int[][] all = [.. MoreLines(output, 1).Select(Counters)];
            Assert.All(all.Zip(all.Skip(1)), pair => Assert.All(pair.First.Zip(pair.Second), one => Assert.True(one.First <= one.Second)));
        }

        private static int[] Counters(string line)
            => [.. line.Split(' ').Select(number => int.Parse(number, CultureInfo.InvariantCulture))];
    }

    private sealed class Redis : RealProgram
    {
        private const int Keys = 100_000;
        private readonly int port = FreePort();

        public override int Start(PidNamespace space)
        {
            int pid = space.Start(
            [
                Programs.Command("/usr/bin/redis-server"), "--port", $"{port}", "--bind", "127.0.0.1", "--save", string.Empty,
                "--appendonly", "no", "--dir", space.Directory, "--daemonize", "no",
            ]);
            PidNamespace.Until(() => Answers(port), "redis answers");
            int descriptors = 0;
            Talk(stream =>
            {
                descriptors = Directory.GetFiles(space.Proc(pid, "fd")).Length;
                for (int first = 0; first < Keys; first += 1000)
                {
                    stream.Write(string.Concat(Enumerable.Range(first, 1000).Select(key => $"SET key:{key} value-{key * 7919L}\r\n")));
                    stream.Flush();
                    for (int i = 0; i < 1000; i++)
                    {
                        Assert.Equal("+OK", stream.Read());
                    }
                }
            });
            WaitForHangup(space, pid, descriptors);
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            int descriptors = 0;
            Talk(stream =>
            {
                descriptors = Directory.GetFiles(space.Proc(pid, "fd")).Length;
                stream.Write("DBSIZE\r\n");
                stream.Flush();
                Assert.Equal($":{Keys}", stream.Read());
                for (int first = 0; first < Keys; first += 1000)
                {
                    stream.Write(string.Concat(Enumerable.Range(first, 1000).Select(key => $"GET key:{key}\r\n")));
                    stream.Flush();
                    for (int key = first; key < first + 1000; key++)
                    {
                        string value = $"value-{key * 7919L}";
                        Assert.Equal($"${value.Length}", stream.Read());
                        Assert.Equal(value, stream.Read());
                    }
                }
            });
            WaitForHangup(space, pid, descriptors);
        }

        /// <summary>So that no established connection is left for the next dump.</summary>
        private static void WaitForHangup(PidNamespace space, int pid, int descriptors)
            => PidNamespace.Until(() => Directory.GetFiles(space.Proc(pid, "fd")).Length < descriptors, "redis has closed the connection");

        private void Talk(Action<Conversation> talk)
        {
            using var client = new TcpClient();
            client.Connect(IPAddress.Loopback, port);
            using var conversation = new Conversation(client.GetStream());
            conversation.Write("PING\r\n");
            conversation.Flush();
            Assert.Equal("+PONG", conversation.Read());
            talk(conversation);
        }
    }

    private sealed class Nginx : RealProgram
    {
        private const int Workers = 2;
        private readonly int port = FreePort();

        public override int Start(PidNamespace space)
        {
            string program = Programs.Command("/usr/sbin/nginx", "/usr/bin/nginx");
            string directory = space.MakeDirectory("nginx");
            string configuration = Path.Combine(directory, "nginx.conf");
            File.WriteAllText(
                configuration,
                $$"""
                daemon off; pid {{directory}}/pid; error_log {{directory}}/error.log; worker_processes {{Workers}};
                events { worker_connections 64; }
                http {
                    access_log {{directory}}/access.log; client_body_temp_path {{directory}}/t1; proxy_temp_path {{directory}}/t2;
                    fastcgi_temp_path {{directory}}/t3; uwsgi_temp_path {{directory}}/t4; scgi_temp_path {{directory}}/t5;
                    server { listen 127.0.0.1:{{port}}; keepalive_timeout 0; location / { return 200 "whole\n"; } }
                }
                """);
            int pid = space.Start([program, "-p", directory, "-c", configuration]);
            PidNamespace.Until(() => Answers(port) && space.Pids.Count == Workers + 1, "nginx answers");
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            Assert.Equal(Workers + 1, space.Pids.Count);
            for (int time = 0; time < 20; time++)
            {
                Assert.Equal("whole\n", Get($"http://127.0.0.1:{port}/"));
            }
        }
    }

    private sealed class DotnetConsole : RealProgram
    {
        private string output = string.Empty;

        /// <remarks>A .NET stream that writes holds a flock on its file.</remarks>
        public override string[] Options => ["--file-locks"];

        public override int Start(PidNamespace space)
        {
            output = Path.Combine(space.Directory, "lines");
            int pid = space.Start([.. Programs.DotnetTarget("dotnet-console"), output]);
            _ = MoreLines(output, 7);
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            string[] before = MoreLines(output, 1)[^1].Split(' ');
            string[][] lines = [.. MoreLines(output, 8).Select(line => line.Split(' '))];
            Assert.All(lines, line => Assert.Equal("whole", line[4]));
            Assert.Equal(Enumerable.Range(1, lines.Length), lines.Select(line => int.Parse(line[0], CultureInfo.InvariantCulture)));
            for (int column = 1; column <= 3; column++)
            {
                Assert.True(
                    int.Parse(lines[^1][column], CultureInfo.InvariantCulture) > int.Parse(before[column], CultureInfo.InvariantCulture),
                    $"column {column} stands still: {string.Join(' ', before)}, then {string.Join(' ', lines[^1])}");
            }
        }
    }

    private sealed class AspNet : RealProgram
    {
        private readonly int port = FreePort();
        private int requests;

        public override int Start(PidNamespace space)
        {
            int pid = space.Start([.. Programs.DotnetTarget("aspnet"), "--urls", $"http://127.0.0.1:{port}"]);
            PidNamespace.Until(() => Answers(port), "the application listens");
            Ask();
            return pid;
        }

        public override void MustGoOn(PidNamespace space, int pid)
        {
            for (int time = 0; time < 10; time++)
            {
                Ask();
            }

            Assert.Contains($"\"number\":{requests}", Get($"http://127.0.0.1:{port}/json"), StringComparison.Ordinal);
        }

        private void Ask() => Assert.Equal($"request {++requests}", Get($"http://127.0.0.1:{port}/"));
    }

    /// <summary>Whether something listens; the connection is closed at once.</summary>
    protected static bool Answers(int port)
    {
        try
        {
            using var client = new TcpClient();
            client.Connect(IPAddress.Loopback, port);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    /// <summary>Gets a page over a connection of its own.</summary>
    protected static string Get(string address)
    {
        using var client = new HttpClient { Timeout = PidNamespace.Patience };
        client.DefaultRequestHeaders.ConnectionClose = true;
        return client.GetStringAsync(new Uri(address)).GetAwaiter().GetResult();
    }

    private sealed class Conversation(NetworkStream stream) : IDisposable
    {
        private readonly StreamReader reader = new(stream);
        private readonly StreamWriter writer = new(stream);

        public void Write(string text) => writer.Write(text);

        public void Flush() => writer.Flush();

        public string? Read() => reader.ReadLine();

        public void Dispose()
        {
            reader.Dispose();
            writer.Dispose();
        }
    }
}
