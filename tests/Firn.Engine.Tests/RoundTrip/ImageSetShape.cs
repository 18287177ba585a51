using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>
/// What an image set says that is not bound to the run that it is of: a sorted list of lines `file: path = value` in which every field of
/// every message is there, and only those values that <see cref="Bound"/> lists are replaced by what they stand for.
/// </summary>
internal sealed partial class ImageSetShape
{
    /// <summary>
    /// Values that a run, a machine or the moment decides. The field must be there on both sides; its value isn't compared.
    /// </summary>
    private static readonly (string Path, string Reason)[] Bound =
    [
        (
            @"core\.thread_info\.gpregs\.(r\d+|bp|bx|ax|cx|dx|si|di|orig_ax|ip|flags|sp|fs_base)",
            "registers: where the program stood; regs_all.c and regs_syscall.c compare them"),
        (@"core\.thread_info\.fpregs\.(mxcsr|mxcsr_mask|st_space|xmm_space)(\[\])?", "registers"),
        (@"core\.thread_info\.fpregs\.xsave\.(xstate_bv|ymmh_space|opmask_reg|zmm_upper|hi16_zmm)(\[\])?", "registers"),
        (@"core\.thread_info\.clear_tid_addr|core\.thread_core\.(futex_rla|rseq_entry\.rseq_abi_pointer)", "addresses"),
        (@"core\.tc\.sigactions\[\]\.(sigaction|restorer)", "addresses; 0 and 1, that is SIG_DFL and SIG_IGN, are compared"),
        (@"core\.tc\.rlimits\.rlimits\[\]\.(cur|max)", "the limits of the machine; task_attributes.c compares them"),
        (@"core\.thread_core\.creds\.cap_\w+\[\]", "the capabilities of root on the machine; task_credentials.c compares them"),
        (@"core\.tc\.(loginuid|oom_score_adj)", "how the session on the machine was started"),
        (@"core\.tc\.timers\.real\.(vsec|vusec)", "time left"),
        (@"mm\.mm_(start_code|end_code|start_data|end_data|start_stack|start_brk|brk|arg_start|arg_end|env_start|env_end)", "addresses"),
        (@"mm\.mm_saved_auxv\[\]", "addresses and the processor's capabilities; the keys are compared"),
        (@"mm\.vmas\[\]\.(start|end)", "addresses; the length of a file's mapping is compared"),
        (@"pagemap\[\]\.(vaddr|nr_pages)", "which pages were touched"),
        (@"files\.tfd\.(ticks|vsec|vnsec)", "time left"),
        (@"files\.isk\.src_port", "a free port"),
        (@"files\.reg\.(size|build_id\[\d*\])", "which build of a program or library the machine has"),
        (@"files\.epfd\.tfd\[\]\.(data|inode|dev)", "Python's data is an uninitialised union in its upper half; inode and device numbers"),
        (@"timens\.\w+\.tv_n?sec", "the clock"),
        (@"inventory\.dump_criu_run_id", "a random number for each run"),
        (@"pagemap-shmem\[\]\.pages_id|pagemap\[\]\.pages_id", "the order in which page files are begun"),
    ];

    /// <summary>Differences that are meant: on CRIU's side, then on Firn's.</summary>
    private const int LeakedDescriptor = 251;
    private const string SharedPage = "PE_PARENT";

    private static readonly Regex BoundPath = new($"^({string.Join('|', Bound.Select(one => one.Path))})$", RegexOptions.CultureInvariant);
    private static readonly string[] ProcessorFlags = File.ReadLines("/proc/cpuinfo").First(
        line => line.StartsWith("flags", StringComparison.Ordinal)).Split(' ');

    private readonly Dictionary<string, JsonArray> images;
    private readonly Dictionary<long, string> tasks = [];
    private readonly Dictionary<long, string> files = [];
    private readonly Dictionary<(string Space, long Number), string> numbers = [];
    private readonly List<string> lines = [];

    /// <summary>The shape of a set.</summary>
    /// <param name="json">For each file name the JSON text that it decodes to.</param>
    public ImageSetShape(IReadOnlyDictionary<string, string> json)
    {
        images = json.ToDictionary(
            file => Path.GetFileNameWithoutExtension(file.Key), file => JsonNode.Parse(file.Value)!["entries"]!.AsArray());
        DropMeantDifferences();
        NameTasks();
        NameFiles();
        foreach ((string name, JsonArray entries) in images.OrderBy(image => image.Key, StringComparer.Ordinal))
        {
            AddImage(name, entries);
        }

        lines.Sort(StringComparer.Ordinal);
    }

    /// <summary>Lines that only one of two sets has; empty where they say the same.</summary>
    public static string Difference(ImageSetShape wanted, ImageSetShape found)
    {
        List<string> missing = [.. wanted.lines], more = [];
        foreach (string line in found.lines)
        {
            if (!missing.Remove(line))
            {
                more.Add(line);
            }
        }

        return string.Join('\n', missing.Select(line => $"- {line}").Concat(more.Select(line => $"+ {line}")));
    }

    // Each of these is a decision, not an oversight.
    private void DropMeantDifferences()
    {
        // The shell that started the sets' programs leaked a descriptor into them, a pipe that is written to by no one. Firn refuses such a
        // pipe, whose other end is outside of the tree, where CRIU makes a new one; the programs of the test have none.
        HashSet<long> leaked = [];
        foreach (JsonArray table in images.Where(image => image.Key.StartsWith("fdinfo-", StringComparison.Ordinal))
            .Select(image => image.Value))
        {
            foreach (JsonNode entry in table.Where(entry => Number(entry!["fd"]!) == LeakedDescriptor).ToList()!)
            {
                _ = leaked.Add(Number(entry["id"]!));
                _ = table.Remove(entry);
            }
        }

        RemoveAll(images["files"], entry => leaked.Contains(Number(entry["id"]!)));

        // Firn's own: by it a restore sees that a mapped file was changed where size and build id say nothing; and who SO_PEERCRED names.
        foreach (JsonNode file in images["files"]!)
        {
            _ = (file["reg"] as JsonObject)?.Remove("mtime");
            _ = (file["usk"] as JsonObject)?.Remove("peer_credentials");
        }

        // CRIU writes the pages that a child shares with its parent again; Firn refers to the parent's (docs/images.md).
        foreach (JsonArray pagemap in images.Where(image => image.Key.StartsWith("pagemap-", StringComparison.Ordinal))
            .Select(image => image.Value))
        {
            RemoveAll(pagemap, entry => entry["flags"]?.GetValue<string>() == SharedPage);
        }

        foreach (JsonNode core in images.Where(image => image.Key.StartsWith("core-", StringComparison.Ordinal))
            .SelectMany(image => image.Value)!)
        {
            // Fields that only Firn has: the thread may run on every processor, and shall after a restore on a larger machine too; and
            // how much is left of the sleep that it is in.
            if (core["thread_core"] is JsonObject threadCore)
            {
                _ = threadCore.Remove("any_cpu");
                _ = threadCore.Remove("interrupted_call");
            }

            DropWhatTheProcessorLacks(core["thread_info"]?["fpregs"]?["xsave"] as JsonObject);
        }
    }

    // The sets are of a processor with AVX-512 and shadow stacks; without them there is nothing to write.
    private static void DropWhatTheProcessorLacks(JsonObject? xsave)
    {
        if (xsave is null)
        {
            return;
        }

        (string Flag, string[] Fields)[] optional =
            [("avx512f", ["opmask_reg", "zmm_upper", "hi16_zmm"]), ("user_shstk", ["cet"]), ("pku", ["pkru"])];
        foreach ((string flag, string[] fields) in optional)
        {
            foreach (string field in ProcessorFlags.Contains(flag) ? [] : fields)
            {
                _ = xsave.Remove(field);
            }
        }
    }

    // Processes and threads in the order of the tree.
    private void NameTasks()
    {
        foreach ((JsonNode? task, int index) in images["pstree"].Select((task, index) => (task, index)))
        {
            foreach ((JsonNode? thread, int number) in task!["threads"]!.AsArray().Select((thread, number) => (thread, number)))
            {
                tasks[Number(thread!)] = number == 0 ? $"task{index}" : $"task{index}.{number}";
            }
        }
    }

    // A file is named after the first place where it is found: a descriptor, a mapping, the executable, a directory of a task.
    private void NameFiles()
    {
        foreach ((long pid, string task) in tasks.Where(task => !task.Value.Contains('.', StringComparison.Ordinal)))
        {
            JsonNode ids = images[$"ids-{pid}"][0]!;
            foreach (JsonNode? entry in images[$"fdinfo-{Number(ids["files_id"]!)}"].OrderBy(entry => Number(entry!["fd"]!)))
            {
                NameFile(entry!["id"], $"{task}:fd{Number(entry["fd"]!)}");
            }
        }

        foreach ((long pid, string task) in tasks.Where(task => !task.Value.Contains('.', StringComparison.Ordinal)))
        {
            NameFile(images[$"fs-{pid}"][0]!["cwd_id"], $"{task}:cwd");
            NameFile(images[$"fs-{pid}"][0]!["root_id"], $"{task}:root");
            foreach (JsonNode? vma in images[$"mm-{pid}"][0]!["vmas"]!.AsArray())
            {
                NameMapped(vma!["shmid"]!);
            }

            NameMapped(images[$"mm-{pid}"][0]!["exe_file_id"]!);
        }
    }

    private void NameMapped(JsonNode id)
    {
        JsonNode? file = images["files"].FirstOrDefault(entry => Number(entry!["id"]!) == Number(id));
        NameFile(id, $"mapped:{file?["reg"]?["name"]?.GetValue<string>() ?? file?["type"]?.GetValue<string>()}");
    }

    private void NameFile(JsonNode? id, string name)
    {
        if (id is null || Number(id) == 0 || files.ContainsKey(Number(id)))
        {
            return;
        }

        int same = files.Values.Count(other => other == name || other.StartsWith(name + "#", StringComparison.Ordinal));
        files[Number(id)] = same == 0 ? name : $"{name}#{same}";
    }

    private void AddImage(string name, JsonArray entries)
    {
        Match match = NumberedName().Match(name);
        string kind = match.Success ? match.Groups[1].Value : name;
        string file = match.Success
            ? kind switch
            {
                "core" or "mm" or "fs" or "ids" or "pagemap"
                    => $"{kind} of {tasks[long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture)]}",
                "pagemap-shmem" => $"{kind} of {SharedMemory(long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture))}",
                "fdinfo" => $"{kind} of {TableOwner(long.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture))}",
                _ => name,
            }
            : name;
        if (kind is "pagemap" or "pagemap-shmem")
        {
            // How many runs there are depends on which pages were touched: one line for each form of run.
            Add(file, Flat($"{kind}[]", entries[0]!));
            foreach (string run in entries.Skip(1).Select(entry => string.Join("; ", Flat($"{kind}[]", entry!))).Distinct())
            {
                lines.Add($"{file}: {run}");
            }

            return;
        }

        if (kind == "files")
        {
            SortWatched(entries);
        }

        foreach (JsonNode? entry in entries)
        {
            // An entry of a list that has no order is one line; the fields of a message that stands alone are a line each.
            if (entries.Count > 1 || kind is "files" or "fdinfo" or "filelocks" or "memfd" or "pipes-data" or "sk-queues" or "remap-fpath")
            {
                lines.Add($"{file}: {string.Join("; ", Flat(kind, entry!))}");
                continue;
            }

            if (kind == "mm")
            {
                AddMappings(file, entry!["vmas"]!.AsArray());
                _ = entry.AsObject().Remove("vmas");
            }

            Add(file, Flat(kind, entry!));
        }
    }

    // The kernel lists what an epoll watches by the addresses of its own structures.
    private static void SortWatched(JsonArray entries)
    {
        foreach (JsonArray watched in entries.Select(entry => entry!["epfd"]?["tfd"]).OfType<JsonArray>())
        {
            List<JsonNode?> sorted = [.. watched.OrderBy(target => Number(target!["tfd"]!))];
            watched.Clear();
            sorted.ForEach(watched.Add);
        }
    }

    private void Add(string file, IEnumerable<string> fields) => lines.AddRange(fields.Select(field => $"{file}: {field}"));

    // Files' mappings are compared one by one. How many anonymous ones there are, and how long they are, depends on where the kernel
    // happened to put them side by side: one line for each form.
    private void AddMappings(string file, JsonArray mappings)
    {
        List<string> anonymous = [];
        foreach (JsonNode? mapping in mappings)
        {
            string fields = string.Join("; ", Flat("mm.vmas[]", mapping!));
            if (Number(mapping!["shmid"]!) == 0)
            {
                anonymous.Add(fields);
            }
            else
            {
                lines.Add($"{file}: {fields}; length = {Number(mapping["end"]!) - Number(mapping["start"]!)}");
            }
        }

        lines.AddRange(anonymous.Distinct().Select(fields => $"{file}: {fields}"));
    }

    // All fields of a message as `path = value`.
    private IEnumerable<string> Flat(string path, JsonNode node)
    {
        switch (node)
        {
            case JsonObject message:
                return message.Count == 0
                    ? [$"{path} = {{}}"]
                    : message.SelectMany(field => Flat($"{path}.{field.Key}", field.Value!));
            case JsonArray array:
                return array.Count == 0
                    ? [$"{path} = []"]
                    : array.SelectMany((element, index) => Flat($"{path}[{index}]", element!));
            default:
                return [$"{path} = {Value(Index().Replace(path, "[]"), path, node)}"];
        }
    }

    private string Value(string path, string indexed, JsonNode value)
    {
        string text = value.ToString();
        string last = path[(path.LastIndexOf('.') + 1)..];
        switch (path)
        {
            case "pstree.ppid" or "pstree.pgid" or "pstree.sid" or "pstree.pid" or "pstree.threads[]"
                or "filelocks.pid" or "files.reg.fown.pid":
                return Number(value) == 0 ? text : tasks[Number(value)];
            case "core.tc.sigactions[].sigaction" when text is "0x0" or "0x1":
            case "core.tc.sigactions[].restorer" when text is "0x0":
                return text;
            case "mm.mm_saved_auxv[]" when int.Parse(Index().Match(indexed).Groups[1].ValueSpan, CultureInfo.InvariantCulture) % 2 == 0:
                return text;
            case "files.id" or "fdinfo.id" or "fs.cwd_id" or "fs.root_id" or "mm.exe_file_id" or "mm.vmas[].shmid" or "remap-fpath.orig_id"
                or "sk-queues.id_for" or "files.epfd.tfd[].id":
                return Number(value) == 0 ? text : FileName(Number(value));
            case "memfd.shmid":
                return SharedMemory(Number(value));
            case "files.memfd.inode_id" or "memfd.inode_id":
                return Ordinal("memfd", Number(value));
            case "files.pipe.pipe_id" or "pipes-data.pipe_id":
                return Ordinal("pipe", Number(value));
            case "files.usk.ino" or "files.usk.peer" or "files.isk.ino":
                return Number(value) == 0 ? text : Ordinal("socket", Number(value));
            case "files.reg.name" when GhostName().IsMatch(text):
                return "a link-less file";
            case "files.reg.pos" when IsLog(value):
                return "(bound: how much was written)";
            case "core.tc.signals_s.signals[].siginfo" or "core.thread_core.signals_p.signals[].siginfo":
                return SignalInformation(text);
        }

        if (path.StartsWith("files.", StringComparison.Ordinal) && last == "id")
        {
            return FileName(Number(value));
        }

        return BoundPath.IsMatch(path) ? "(bound)" : text;
    }

    // si_pid, at byte 16 of those that kill(2) sent, as a task.
    private string SignalInformation(string text)
    {
        byte[] bytes = Convert.FromBase64String(text.Replace("\n", string.Empty, StringComparison.Ordinal));
        Span<byte> pid = bytes.AsSpan(16, 4);
        string sender = tasks.GetValueOrDefault(BitConverter.ToInt32(pid), "another");
        pid.Clear();
        return $"{Convert.ToHexString(bytes)} from {sender}";
    }

    private string FileName(long id) => files.GetValueOrDefault(id) ?? "file that nothing refers to";

    private string TableOwner(long id)
        => tasks[tasks.Keys.First(pid => images.TryGetValue($"ids-{pid}", out JsonArray? ids) && Number(ids[0]!["files_id"]!) == id)];

    // Named by what it is the content of.
    private string SharedMemory(long id)
    {
        JsonNode? found = images.GetValueOrDefault("memfd")?.FirstOrDefault(entry => Number(entry!["shmid"]!) == id);
        return found is null ? "shared memory" : $"memfd {found["name"]}";
    }

    private string Ordinal(string space, long number)
    {
        if (!numbers.TryGetValue((space, number), out string? name))
        {
            // Named after the descriptors that show it, which are named already: their order in files.img says nothing.
            string field = space switch { "pipe" => "pipe_id", "memfd" => "inode_id", _ => "ino" };
            IEnumerable<string> users = images["files"]
                .Where(
                    entry
                        => entry!.AsObject().Any(
                            member => member.Value is JsonObject body && body[field] is JsonNode own && Number(own) == number))
                .Select(entry => FileName(Number(entry!["id"]!)))
                .Order(StringComparer.Ordinal);
            numbers[(space, number)] = name = $"{space} of {string.Join(", ", users)}";
        }

        return name;
    }

    private static bool IsLog(JsonNode position)
        => position.Parent!["name"]!.GetValue<string>().EndsWith("/log", StringComparison.Ordinal);

    private static void RemoveAll(JsonArray array, Func<JsonNode, bool> condition)
    {
        foreach (JsonNode? entry in array.Where(entry => condition(entry!)).ToList())
        {
            _ = array.Remove(entry);
        }
    }

    private static long Number(JsonNode node)
    {
        string text = node.ToString();
        return text.StartsWith("0x", StringComparison.Ordinal)
            ? (long)ulong.Parse(text.AsSpan(2), NumberStyles.HexNumber, CultureInfo.InvariantCulture)
            : long.Parse(text, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"^(.+?)-(\d+)$")]
    private static partial Regex NumberedName();

    [GeneratedRegex(@"\[(\d+)\]")]
    private static partial Regex Index();

    [GeneratedRegex(@"^/var/tmp/firn-kitchen/work/#\d+$")]
    private static partial Regex GhostName();
}
