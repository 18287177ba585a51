using System.Text.Json.Nodes;
using Firn.Engine.Tests.RoundTrip;

namespace Firn.Engine.Tests.Containers;

/// <summary>A container of runc with all namespaces but that of users, with busybox or with Debian's programs in it.</summary>
internal sealed partial class RuncContainer : IDisposable
{
    private const string Quiet = "< /dev/null > /dev/null 2>&1";
    private readonly EngineRoom room;
    private readonly string runc = Programs.Command("/usr/sbin/runc", "/usr/bin/runc");
    private readonly string state;
    private readonly string log;
    private int rounds;

    /// <summary>Makes one with busybox in it, and does not start it.</summary>
    /// <param name="script">What its shell does.</param>
    /// <param name="change">What is different in its config.json.</param>
    /// <param name="criu">The program that runc finds as `criu`: Firn, if null.</param>
    public RuncContainer(string script, Action<JsonObject>? change = null, string? criu = null)
        : this(["sh", "-c", script], change, isDebian: false, criu)
    {
    }

    private RuncContainer(string[] command, Action<JsonObject>? change, bool isDebian, string? criu = null)
    {
        room = new EngineRoom(criu);
        try
        {
            Bundle = room.Space.MakeDirectory("bundle");
            state = room.Space.MakeDirectory("state");
            log = Path.Combine(room.Space.Directory, "runc.log");
            if (isDebian)
            {
                EngineRoom.MakeDebianRoot(RootFileSystem);
            }
            else
            {
                room.MakeRootFileSystem(RootFileSystem);
            }

            Must(Runc("spec", "--bundle", Bundle));
            string file = Path.Combine(Bundle, "config.json");
            JsonObject config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
            config["root"]!["readonly"] = false;
            config["process"]!["terminal"] = false;
            config["process"]!["args"] = Array(command);
            config["linux"]!["cgroupsPath"] = $"/{room.Name}";
            JsonArray namespaces = config["linux"]!["namespaces"]!.AsArray();
            if (!namespaces.Any(entry => (string?)entry!["type"] == "cgroup"))
            {
                namespaces.Add((JsonNode)new JsonObject { ["type"] = "cgroup" });
            }

            if (isDebian)
            {
                MakeDebian(config);
            }

            change?.Invoke(config);
            File.WriteAllText(file, config.ToJsonString());
        }
        catch
        {
            room.Dispose();
            throw;
        }
    }

    /// <summary>Where all of it runs.</summary>
    public PidNamespace Space => room.Space;

    /// <summary>Its name, and that of its cgroup.</summary>
    public string Name => room.Name;

    /// <summary>Its directory, with config.json and the root file system.</summary>
    public string Bundle { get; }

    /// <summary>The root file system, as seen from outside.</summary>
    public string RootFileSystem => Path.Combine(Bundle, "rootfs");

    /// <summary>`running`, `stopped`, or nothing if runc does not know it any more.</summary>
    public string Status
    {
        get
        {
            Outcome outcome = Runc("state", room.Name);
            return outcome.Status == 0 ? (string)JsonNode.Parse(outcome.Output)!["status"]! : string.Empty;
        }
    }

    /// <summary>Its first process, as seen from where runc runs.</summary>
    public int InitPid => (int)JsonNode.Parse(Must(Runc("state", room.Name)).Output)!["pid"]!;

    /// <summary>The groups that are there under its name.</summary>
    public IReadOnlyList<string> Groups => room.Groups;

    /// <summary>The images of the last checkpoint.</summary>
    public string Images { get; private set; } = string.Empty;

    /// <summary>Makes one with the programs of this machine in it, and does not start it.</summary>
    /// <param name="command">What runs in it.</param>
    /// <param name="change">What is different in its config.json.</param>
    public static RuncContainer OfDebian(string[] command, Action<JsonObject>? change = null) => new(command, change, isDebian: true);

    /// <summary>Words of a program as config.json has them.</summary>
    public static JsonArray Array(params string[] words) => [.. words.Select(word => (JsonNode)word)];

    /// <summary>Something of the host's that is bound into it.</summary>
    public static JsonObject Bind(string source, string destination, string option) => new()
    {
        ["destination"] = destination,
        ["type"] = "bind",
        ["source"] = source,
        ["options"] = new JsonArray("rbind", option),
    };

    /// <summary>Changes its config.json.</summary>
    public void Change(Action<JsonObject> change)
    {
        string file = Path.Combine(Bundle, "config.json");
        JsonObject config = JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        change(config);
        File.WriteAllText(file, config.ToJsonString());
    }

    /// <summary>Starts it with nothing for its standard streams, or with a console.</summary>
    public void Start(params string[] options)
        => Must(Detached(["run", "-d", "--bundle", Bundle, .. options, room.Name], Quiet));

    /// <summary>Starts it, its output a pipe to a program that writes all of it to the end of a file.</summary>
    public void StartWithPipe(string file) => room.Start(Piped(["run", "-d", "--bundle", Bundle, room.Name], file));

    /// <summary>Checkpoints it.</summary>
    public Outcome TryCheckpoint(params string[] options)
    {
        _ = MakeImages();
        return Runc(["checkpoint", "--image-path", Images, "--work-path", Images, .. options, room.Name]);
    }

    /// <summary>Makes the directory of the next images.</summary>
    public string MakeImages() => Images = room.Space.MakeDirectory($"images-{++rounds}");

    /// <summary>Starts a checkpoint, and gives the process of runc.</summary>
    public int StartCheckpoint()
    {
        _ = MakeImages();
        string directories = $"--image-path {Images} --work-path {Images}";
        return room.Start($"exec {runc} --root {state} --log {log} checkpoint {directories} {room.Name} {Quiet}");
    }

    /// <summary>Starts a restore from the last checkpoint, and gives the process of runc.</summary>
    public int StartRestore() => room.Start($"exec {runc} --root {state} --log {log} {string.Join(' ', RestoreOf([]))} {Quiet}");

    /// <summary>Checkpoints it, or fails the test with all that was said.</summary>
    public void Checkpoint(params string[] options) => Must(TryCheckpoint(options));

    /// <summary>Restores it from the last checkpoint.</summary>
    public Outcome TryRestore(params string[] options) => Detached(RestoreOf(options), Quiet);

    /// <summary>Restores it, or fails the test with all that was said.</summary>
    public void Restore(params string[] options) => Must(TryRestore(options));

    /// <summary>Restores it, its output a pipe as in <see cref="StartWithPipe"/>.</summary>
    public void RestoreWithPipe(string file) => room.Start(Piped(RestoreOf([]), file));

    /// <summary>Runs something in it, and gives what that said.</summary>
    public string Exec(params string[] command) => Must(TryExec(command)).Output;

    /// <summary>Runs something in it that may fail.</summary>
    public Outcome TryExec(params string[] command) => Runc(["exec", room.Name, .. command]);

    /// <summary>Starts something in it, and does not wait.</summary>
    public void ExecDetached(params string[] command) => Must(Detached(["exec", "--detach", room.Name, .. command], Quiet));

    /// <summary>Any other command of runc on it.</summary>
    public void Command(string verb, params string[] arguments) => Must(Runc([verb, .. arguments[..^1], room.Name, arguments[^1]]));

    /// <summary>Any other command of runc on it, without arguments.</summary>
    public void Command(string verb) => Must(Runc(verb, room.Name));

    /// <summary>All that runc and Firn said so far.</summary>
    public string Said() => string.Join(
        '\n',
        [
            File.Exists(log) ? File.ReadAllText(log) : string.Empty,
            .. (Directory.Exists(Images) ? Directory.GetFiles(Images, "*.log") : [])
                .SelectMany(File.ReadLines)
                .Where(line => line.Contains("Error", StringComparison.Ordinal)),
        ]);

    public void Dispose()
    {
        try
        {
            _ = Runc("delete", "--force", room.Name);
        }
        finally
        {
            room.Dispose();
        }
    }

    // Servers change their user and give files away; as in podman's containers they may.
    private static void MakeDebian(JsonObject config)
    {
        config["mounts"]!.AsArray().Add((JsonNode)Bind("/usr", "/usr", "ro"));
        config["process"]!["rlimits"] = new JsonArray();
        foreach (string set in (ReadOnlySpan<string>)["bounding", "effective", "permitted"])
        {
            config["process"]!["capabilities"]![set] = Array("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SETGID", "CAP_SETUID");
        }
    }

    private string[] RestoreOf(string[] options)
        => ["restore", "-d", "--bundle", Bundle, "--image-path", Images, "--work-path", Images, .. options, room.Name];

    private Outcome Runc(params string[] arguments) => room.Run([runc, "--root", state, "--log", log, .. arguments]);

    // A container that stays has the streams of what started it: the shell gives it its own.
    private Outcome Detached(string[] arguments, string streams)
        => room.Run(["sh", "-c", $"exec \"$@\" {streams}", "sh", runc, "--root", state, "--log", log, .. arguments]);

    private string Piped(string[] arguments, string file)
        => $"{runc} --root {state} --log {log} {string.Join(' ', arguments)} < /dev/null 2>&1 | cat >> {file}";

    private Outcome Must(Outcome outcome) => outcome.Status == 0
        ? outcome
        : throw new InvalidOperationException($"runc: status {outcome.Status}\n{outcome.Output}{outcome.Error}{Said()}");
}
