using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Cgroups;

/// <summary>In which control groups each thread sits: cg_set of its core, and the sets of cgroup.img. The restore half is in
/// CgroupTree.</summary>
/// <remarks>
/// A set names one group in each hierarchy. Number 1 is Firn's own: a tree that is all in it needs no image. Paths are those of Firn's
/// cgroup namespace; where the tree has its own, cgns_prefix says how much of a path lies outside of that. cgroups(7).
/// </remarks>
internal sealed class CgroupPlaces : TaskKind
{
    // ---- dump

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
        => thread.ThreadCore().CgSet = context.Files.State.Get<Sets>().Of(context, thread);

    /// <summary>Adds cgroup.img, once all threads have their sets.</summary>
    public static void Dump(DumpContext context)
    {
        Sets sets = context.Files.State.Get<Sets>();
        if (sets.AreAllFirns)
        {
            return;
        }

        var image = new CgroupEntry();
        image.Sets.AddRange(sets.Used);
        image.Controllers.AddRange(CgroupDirectories.Dump(context, image.Sets));
        context.Images.Add(ImageKind.Cgroup, 0, image);
    }

    /// <summary>The sets that were met so far.</summary>
    private sealed class Sets
    {
        private readonly Dictionary<string, CgSetEntry> known = [];
        private readonly HashSet<uint> used = [];
        private readonly Dictionary<DumpedNamespace, Dictionary<string, int>> prefixes = [];

        public bool AreAllFirns => used.All(id => id == 1);

        public IEnumerable<CgSetEntry> Used => known.Values.Where(set => used.Contains(set.Id));

        public uint Of(DumpContext context, DumpedThread thread)
        {
            if (known.Count == 0)
            {
                // Firn's own set comes first: CRIU's number of it is 1, too.
                Find(context, Text("self"), string.Empty, []);
            }

            DumpedNamespace own = context.NamespaceOf(thread.Task, CloneFlags.CLONE_NEWCGROUP);
            if (!prefixes.TryGetValue(own, out Dictionary<string, int>? outer))
            {
                prefixes.Add(own, outer = Prefixes(own));
            }

            // Those in a nested namespace may sit in the same groups, and see them from another root.
            string place = own is { IsNested: true, IsFirns: false } ? $"{own.Id} " : string.Empty;
            CgSetEntry set = Find(context, Text($"{thread.Task.Pid}/task/{thread.Tid}"), place, outer);
            used.Add(set.Id);
            return set.Id;
        }

        private static string Text(string task) => Sys.ReadText($"/proc/{task}/cgroup");

        private CgSetEntry Find(DumpContext context, string text, string place, Dictionary<string, int> prefixes)
        {
            if (known.TryGetValue(place + text, out CgSetEntry? set))
            {
                return set;
            }

            set = new CgSetEntry { Id = (uint)known.Count + 1 };
            foreach (CgroupMembership membership in Selected(context, CgroupMembership.Parse(text)).OrderBy(its
                => its.Name, StringComparer.Ordinal))
            {
                var member = new CgMemberEntry { Name = membership.Name, Path = membership.Path };
                if (prefixes.TryGetValue(membership.Name, out int prefix) && prefix > 0)
                {
                    member.CgnsPrefix = (uint)prefix;
                }

                set.Ctls.Add(member);
            }

            known.Add(place + text, set);
            return set;
        }

        // How much of each path lies outside of a cgroup namespace: its own view of the same place is shorter by that.
        private static Dictionary<string, int> Prefixes(DumpedNamespace own)
        {
            if (own.IsFirns)
            {
                return [];
            }

            List<CgroupMembership> outside = CgroupMembership.Read(own.Member.Pid);
            using NamespaceVisit visit = own.Visit();
            return CgroupMembership.Read(own.Member.Pid).ToDictionary(
                inside => inside.Name,
                inside => outside.Find(its => its.Name == inside.Name)!.Path.Length - (inside.Path == "/" ? 0 : inside.Path.Length));
        }
    }

    /// <summary>The hierarchies that the user wants to have saved (`--cgroup-dump-controller`); all, if none is named.</summary>
    public static IEnumerable<CgroupMembership> Selected(DumpContext context, IEnumerable<CgroupMembership> memberships)
        => context.Options.CgroupControllers.Count == 0
            ? memberships
            : memberships.Where(its => its.Controllers.Any(context.Options.CgroupControllers.Contains));
}
