namespace Firn.Engine.Kinds.Cgroups;

/// <summary>Which files of a control group are saved, for each controller. The lists of version 1 are CRIU's.</summary>
/// <remarks>Kernel: Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst. Order matters: memory.memsw is never below
/// memory.limit.</remarks>
internal sealed class CgroupProperties
{
    private static readonly Dictionary<string, string[]> BuiltIn = new()
    {
        ["cpu"] = ["cpu.shares", "cpu.cfs_period_us", "cpu.cfs_quota_us", "cpu.rt_period_us", "cpu.rt_runtime_us"],
        ["memory"] =
        [
            "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.swappiness", "memory.soft_limit_in_bytes",
            "memory.move_charge_at_immigrate", "memory.oom_control", "memory.use_hierarchy", "memory.kmem.limit_in_bytes",
            "memory.kmem.tcp.limit_in_bytes",
        ],
        ["cpuset"] =
        [
            "cpuset.cpus", "cpuset.mems", "cpuset.memory_migrate", "cpuset.cpu_exclusive", "cpuset.mem_exclusive", "cpuset.mem_hardwall",
            "cpuset.memory_spread_page", "cpuset.memory_spread_slab", "cpuset.sched_load_balance", "cpuset.sched_relax_domain_level",
        ],
        ["blkio"] = ["blkio.weight"],
        ["freezer"] = [],
        ["perf_event"] = [],
        ["net_cls"] = ["net_cls.classid"],
        ["net_prio"] = ["net_prio.ifpriomap"],
        ["pids"] = ["pids.max"],
        ["devices"] = ["devices.list"],

        // CRIU saves no limits of version 2; a reader writes back whatever is named here.
        [string.Empty] =
        [
            "cpu.weight", "cpu.max", "cpu.max.burst", "cpu.idle", "cpuset.cpus", "cpuset.mems", "memory.min", "memory.low", "memory.high",
            "memory.max", "memory.swap.max", "memory.swap.high", "memory.oom.group", "io.weight", "io.max", "pids.max", "hugetlb.2MB.max",
            "hugetlb.1GB.max",
        ],
    };

    private static readonly string[] OfAllVersion1 = ["cgroup.clone_children", "notify_on_release", "cgroup.procs", "tasks"];

    private static readonly string[] OfAllVersion2 =
        ["cgroup.subtree_control", "cgroup.max.descendants", "cgroup.max.depth", "cgroup.freeze", "cgroup.type"];

    private readonly Dictionary<string, List<string>> lists = BuiltIn.ToDictionary(pair => pair.Key, pair => pair.Value.ToList());

    /// <summary>The built-in lists, changed by what a user has said.</summary>
    /// <param name="texts">Texts in CRIU's form (`--cgroup-props`); see <see cref="Parse"/>.</param>
    /// <exception cref="CheckpointException">A text is not of that form.</exception>
    public CgroupProperties(IEnumerable<string> texts)
    {
        foreach ((string controller, bool replace, List<string> names) in texts.SelectMany(Parse))
        {
            if (replace || !lists.TryGetValue(controller, out List<string>? list))
            {
                lists[controller] = names;
            }
            else
            {
                list.AddRange(names.Except(list));
            }
        }
    }

    /// <summary>The files of a group, in the order in which they are to be written.</summary>
    /// <param name="controllers">The controllers of its hierarchy; one empty name for version 2.</param>
    public IEnumerable<string> Of(IEnumerable<string> controllers)
    {
        bool isUnified = controllers.Contains(string.Empty);
        return controllers.SelectMany(controller => lists.GetValueOrDefault(controller) ?? [])
            .Concat(isUnified ? OfAllVersion2 : OfAllVersion1)
            .Distinct();
    }

    /// <summary>
    /// Reads CRIU's form: `"cpu":`, then lines ` - "strategy": "merge"` or `"replace"`, and ` - "properties": ["cpu.shares", …]`.
    /// </summary>
    /// <exception cref="CheckpointException">The text is not of that form.</exception>
    public static IEnumerable<(string Controller, bool Replace, List<string> Names)> Parse(string text)
    {
        var words = new Queue<string>(Split(text));
        while (words.Count > 0)
        {
            string controller = Quoted(words);
            Expect(words, ":");
            Expect(words, "-");
            Expect(words, "\"strategy\"");
            Expect(words, ":");
            bool replace = Quoted(words) switch
            {
                "merge" => false,
                "replace" => true,
                string other => throw Malformed($"the strategy `{other}` is neither `merge` nor `replace`"),
            };
            Expect(words, "-");
            Expect(words, "\"properties\"");
            Expect(words, ":");
            Expect(words, "[");
            List<string> names = [];
            while (words.TryPeek(out string? next) && next != "]")
            {
                string name = Quoted(words);
                names.Add(name.Contains('/', StringComparison.Ordinal) ? throw Malformed($"`{name}` is not a property") : name);
                if (words.TryPeek(out next) && next == ",")
                {
                    words.Dequeue();
                }
            }

            Expect(words, "]");
            yield return (controller, replace, names);
        }
    }

    private static IEnumerable<string> Split(string text)
    {
        for (int i = 0; i < text.Length; i++)
        {
            if (char.IsWhiteSpace(text[i]))
            {
                continue;
            }

            int end = text[i] == '"' ? text.IndexOf('"', i + 1) : i;
            yield return end < 0 ? throw Malformed("a quotation mark is not closed") : text[i..(end + 1)];
            i = end;
        }
    }

    private static string Quoted(Queue<string> words)
        => words.TryDequeue(out string? word)
            && word[0] == '"' ? word[1..^1] : throw Malformed($"`{word}` stands where a quoted word must be");

    private static void Expect(Queue<string> words, string expected)
    {
        if (!words.TryDequeue(out string? word) || word != expected)
        {
            throw Malformed($"`{word}` stands where {expected} must be");
        }
    }

    private static CheckpointException Malformed(string what)
        => new($"--cgroup-props: {what}; the form is \"cpu\": - \"strategy\": \"merge\" - \"properties\": [\"cpu.shares\"]")
        {
            Phase = "pre-dump",
        };
}
