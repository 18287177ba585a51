using System.Globalization;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A user namespace: its maps. user_namespaces(7).</summary>
/// <remarks>
/// Whatever else has ids of users and groups holds those of the namespace in images: <see cref="MappedIds"/>. The root gets the namespace
/// before it executes, and so it has all capabilities within from the start.
/// </remarks>
internal sealed class UserNamespace : NamespaceKind
{
    private const string UserMap = "uid_map";
    private const string GroupMap = "gid_map";

    /// <inheritdoc/>
    public override string Name => "user";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWUSER;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.User;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.UserNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.UserNsId = id;

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        if (own.IsNested)
        {
            NestedUsers.Examine(context, own);
            return;
        }

        if (context.Namespace(CloneFlags.CLONE_NEWPID).IsFirns)
        {
            context.Problems.Add(
                "user-namespace-pids",
                own.Member.Pid,
                $"user namespace {own.Inode}",
                "its tasks are in a pid namespace of the outside, where no task within may choose the pid of another",
                "start the program in a pid namespace of its own as well (unshare --user --pid --fork)");
        }

        foreach (string name in (ReadOnlySpan<string>)[UserMap, GroupMap])
        {
            if (!Read(own.Member.Pid, name).Exists(extent => extent.First == 0))
            {
                context.Problems.Add(
                    "user-namespace-root",
                    own.Member.Pid,
                    $"user namespace {own.Inode}",
                    $"its {name} has no 0, and without a root there it can't be filled",
                    "start the program with a map that has a root (unshare --map-root-user)");
            }
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        var entry = new UsernsEntry();
        if (own.Handle is null)
        {
            entry.UidMap.AddRange(Read(own.Member.Pid, UserMap));
            entry.GidMap.AddRange(Read(own.Member.Pid, GroupMap));
        }
        else
        {
            (List<UidGidExtent> users, List<UidGidExtent> groups) = NestedUsers.MapsWithoutTask(context, own);
            entry.UidMap.AddRange(users);
            entry.GidMap.AddRange(groups);
        }

        if (own.IsNested)
        {
            NestedUsers.Dump(context, own, entry);
        }

        context.Images.Add(ImageKind.Userns, own.Id, entry);
    }

    // ---- restore

    /// <summary>The maps of an image set, or null where the tree has no user namespace.</summary>
    public static MappedIds? Resolve(LoadedImages images, IEnumerable<RestoredNamespace> namespaces)
    {
        if (namespaces.FirstOrDefault(own => own.Kind is UserNamespace) is not { } own)
        {
            return null;
        }

        var entry = images.One<UsernsEntry>(ImageKind.Userns, own.Id);
        return new MappedIds(IdMap.Parse(Text(entry.UidMap)), IdMap.Parse(Text(entry.GidMap)));
    }

    /// <inheritdoc/>
    public override void BeforeExec(RestoreContext context, RestoredNamespace own, int root)
    {
        var entry = context.Images.One<UsernsEntry>(ImageKind.Userns, own.Id);
        ProcValue.Write($"/proc/{root}/{UserMap}", Text(entry.UidMap)).OrThrow($"write(/proc/{root}/{UserMap})");
        ProcValue.Write($"/proc/{root}/{GroupMap}", Text(entry.GidMap)).OrThrow($"write(/proc/{root}/{GroupMap})");
    }

    /// <summary>Gives a new namespace its maps, by a task in the one that it was made in. /proc is Firn's.</summary>
    public static void WriteMaps(UsernsEntry entry, int process, Remote by)
    {
        RemoteBatch batch = by.Batch;
        if (entry.SetgroupsDenied)
        {
            Write("setgroups", "deny");
        }

        Write(UserMap, Text(entry.UidMap));
        Write(GroupMap, Text(entry.GidMap));
        batch.Run("maps of a nested user namespace");

        void Write(string name, string text)
        {
            if (text.Length == 0)
            {
                return;
            }

            Slot fd = batch.Call(Sysno.openat, At.AT_FDCWD, batch.Text($"/proc/{process}/{name}"), (int)OpenFlags.O_WRONLY);
            batch.Call(Sysno.write, fd, batch.Text(text), text.Length);
            batch.Call(Sysno.close, fd);
        }
    }

    /// <summary>The maps of an image: ids within, and those that the namespace of the tree's root has.</summary>
    public static (IdMap Users, IdMap Groups) Maps(UsernsEntry entry) => (IdMap.Parse(Text(entry.UidMap)), IdMap.Parse(Text(entry.GidMap)));

    /// <summary>The map of a task's namespace, as Firn sees it.</summary>
    public static List<UidGidExtent> Read(int pid, string name) => Parse(Sys.ReadText($"/proc/{pid}/{name}"));

    /// <summary>Parses the text of a map.</summary>
    public static List<UidGidExtent> Parse(string text)
    {
        List<UidGidExtent> extents = [];
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            uint[] numbers = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
                .Select(word => uint.Parse(word, CultureInfo.InvariantCulture))];
            extents.Add(new UidGidExtent { First = numbers[0], LowerFirst = numbers[1], Count = numbers[2] });
        }

        return extents;
    }

    private static string Text(IEnumerable<UidGidExtent> extents)
        => string.Concat(extents.Select(
            extent => string.Create(CultureInfo.InvariantCulture, $"{extent.First} {extent.LowerFirst} {extent.Count}\n")));
}
