using System.Text;
using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Tests.Mounts;

/// <summary>In which order a mount tree is made.</summary>
public sealed class MountPlanTests
{
    [Fact]
    public void A_mount_that_lies_deeper_is_attached_before_the_sibling_that_covers_it()
    {
        MountPlan plan = Plan(
            "1 0 8:1 / / rw - ext4 disk rw",
            "2 1 0:2 / /a rw - tmpfs t rw",
            "3 1 0:3 / /a/b rw - tmpfs t rw",
            "4 1 0:4 / /a/b/c rw - tmpfs t rw");
        Assert.Equal(["a/b/c", "a/b", "a"], plan.Assembly.OfType<Attach>().Select(step => step.Path));
        Assert.IsType<MountRoot>(plan.Assembly[plan.Assembly.ToList().FindIndex(step => step is Attach) - 1]);
    }

    [Fact]
    public void A_mount_over_a_whole_other_goes_to_its_root()
    {
        MountPlan plan = Plan("1 0 8:1 / / rw - ext4 disk rw", "2 1 0:2 / /a rw - tmpfs t rw", "3 2 0:3 / /a rw - tmpfs t rw");
        Attach[] attached = [.. plan.Assembly.OfType<Attach>()];
        Assert.Equal(["a", string.Empty], attached.Select(step => step.Path));
        Assert.Equal(attached[0].Mount, attached[1].Parent);
    }

    [Fact]
    public void Bind_mounts_are_copied_before_anything_covers_what_they_are_of()
    {
        MountPlan plan = Plan(
            "1 0 8:1 / / rw - ext4 disk rw",
            "2 1 0:2 / /a rw - tmpfs t rw",
            "3 2 0:3 / /a/sub rw - tmpfs t rw",
            "4 1 0:2 /sub/x /b ro,nodev,relatime - tmpfs t rw");
        List<MountStep> steps = [.. plan.Assembly];
        int copied = steps.FindIndex(step => step is CopyTree { Path: "sub/x" });
        Assert.InRange(copied, 0, steps.FindIndex(step => step is Attach));
        int copy = ((CopyTree)steps[copied]).To;
        Assert.Contains(new SetAttributes(copy, MountAttributes.MOUNT_ATTR_RDONLY | MountAttributes.MOUNT_ATTR_NODEV), steps);
        Assert.Equal(3, plan.Sources.Count);
    }

    [Fact]
    public void A_bind_mount_of_the_root_is_taken_from_where_the_root_is()
    {
        MountPlan plan = Plan(
            "1 0 8:1 /images/root / rw - ext4 disk rw",
            "2 1 8:1 /images/root/data /mnt rw - ext4 disk rw");
        Assert.Empty(plan.Missing);
        TakeOutside root = Assert.IsType<TakeOutside>(plan.Outsiders[0]);
        Assert.Equal(("/new/root", "/"), (root.Path, root.MountPoint));
        Assert.Equal("data", Assert.IsType<CopyTree>(plan.Outsiders[1]).Path);
    }

    [Fact]
    public void What_is_of_another_disk_is_external_or_can_not_be_made()
    {
        string[] mounts = ["1 0 8:1 / / rw - ext4 disk rw", "2 1 8:2 /volume /data rw - ext4 other rw"];
        Assert.Equal(["/data"], FindUnmakeable(Entries(mounts)).Select(node => node.Entry.Mountpoint));
        List<MntEntry> external = Entries(mounts);
        external[1].ExtKey = "volume";
        Assert.Empty(FindUnmakeable(external));
        Assert.Equal(["/data"], MountPlan.Make(external, "/", _ => null).Missing);
        MountPlan plan = MountPlan.Make(external, "/", node => node.Entry.ExtKey == "volume" ? "/srv/volume" : null);
        Assert.Contains(plan.Outsiders, step => step is TakeOutside { Path: "/srv/volume", Group: -1 });
    }

    [Fact]
    public void A_part_of_a_tmpfs_that_is_mounted_nowhere_as_a_whole_is_not_made_anew()
        => Assert.Equal(
            ["/run"],
            FindUnmakeable(Entries("1 0 8:1 / / rw - ext4 disk rw", "2 1 0:2 /user /run rw - tmpfs t rw"))
                .Select(node => node.Entry.Mountpoint));

    [Fact]
    public void A_type_that_was_enabled_is_just_mounted_again()
    {
        List<MntEntry> entries = Entries("1 0 8:1 / / rw - ext4 disk rw", "2 1 0:2 / /huge rw - hugetlbfs none rw");
        Assert.Equal(["/huge"], FindUnmakeable(entries).Select(node => node.Entry.Mountpoint));
        entries[1].Fstype = (uint)Fstype.Auto;
        entries[1].Fsname = "hugetlbfs";
        Assert.Empty(FindUnmakeable(entries));
        MountPlan plan = MountPlan.Make(entries, "/", _ => null);
        Assert.Contains(plan.Sources, step => step is MakeFileSystem { Type: "hugetlbfs" });
    }

    [Fact]
    public void A_masked_file_stays_the_trees_own_device()
    {
        List<MntEntry> entries = Entries(
            "1 0 8:1 / / rw - ext4 disk rw",
            "2 1 0:2 / /dev rw - tmpfs t rw",
            "3 1 0:3 / /proc rw - proc proc rw",
            "4 3 0:2 /null /proc/keys rw - tmpfs t rw");
        entries[3].ExtKey = "/dev/null";
        MountPlan plan = MountPlan.Make(entries, "/", _ => "/dev/null");
        Assert.Single(plan.Outsiders);
        Assert.Contains(plan.Assembly, step => step is CopyTree { Path: "null" });
    }

    [Fact]
    public void Masters_come_before_slaves_and_groups_after_the_root()
    {
        MountPlan plan = Plan(
            "1 0 8:1 / / rw - ext4 disk rw",
            "2 1 0:2 / /slave rw shared:8 master:7 - tmpfs t rw",
            "3 1 0:2 / /master rw shared:7 - tmpfs t rw",
            "4 1 0:2 / /peer rw shared:7 - tmpfs t rw",
            "5 1 0:5 / /alone rw unbindable - tmpfs t rw");
        MountFlags[] set = [.. plan.Propagation.OfType<SetPropagation>().Select(step => step.Propagation)];
        Assert.Equal([MountFlags.MS_SHARED, MountFlags.MS_SLAVE, MountFlags.MS_SHARED, MountFlags.MS_UNBINDABLE], set);
        Assert.Equal(2, plan.Propagation.OfType<JoinGroup>().Count());
        Assert.DoesNotContain(plan.Assembly, step => step is SetPropagation or JoinGroup);
        Assert.IsType<EnterRoot>(plan.Assembly[^1]);
    }

    [Fact]
    public void A_group_in_which_no_one_sees_all_is_led_by_a_copy_of_the_file_system()
    {
        MountPlan plan = Plan(
            "1 0 8:1 / / rw - ext4 disk rw",
            "2 1 0:2 / /whole rw - tmpfs t rw",
            "3 1 0:2 /a /a rw shared:7 - tmpfs t rw",
            "4 1 0:2 /b /b rw shared:7 - tmpfs t rw");
        JoinGroup[] joined = [.. plan.Propagation.OfType<JoinGroup>()];
        Assert.Equal(2, joined.Length);
        Assert.Equal(joined[0].From, joined[1].From);
        Assert.Contains(plan.Assembly, step => step is CopyTree { Path: "" } copy && copy.To == joined[0].From);
    }

    [Fact]
    public void A_group_outside_is_joined_again_through_another_copy()
    {
        List<MntEntry> entries = Entries("1 0 8:1 / / rw master:3 - ext4 disk rw");
        MountPlan plan = MountPlan.Make(entries, "/", _ => null);
        var root = (TakeOutside)plan.Outsiders[0];
        Assert.True(root.Group >= 0);
        Assert.Equal(
            [new JoinGroup(root.Handle, root.Group, MayFail: true), new SetPropagation(root.Handle, MountFlags.MS_SLAVE)],
            plan.Propagation);
    }

    [Theory]
    [InlineData("1 0 8:1 / / rw - ext4 d rw", "2 0 8:1 / /other rw - ext4 d rw")]
    [InlineData("1 0 8:1 / / rw - ext4 d rw", "2 3 8:1 / /a rw - ext4 d rw", "3 2 8:1 / /a rw - ext4 d rw")]
    [InlineData("1 0 8:1 / / rw - ext4 d rw", "2 1 8:1 / /a rw - ext4 d rw", "3 2 8:1 / /b rw - ext4 d rw")]
    [InlineData("1 0 8:1 / / rw - ext4 d rw", "1 0 8:1 / /a rw - ext4 d rw")]
    [InlineData(
        "1 0 8:1 / / rw - ext4 d rw",
        "2 1 0:2 / /a rw shared:1 master:2 - tmpfs d rw",
        "3 1 0:2 / /b rw shared:2 master:1 - tmpfs d rw")]
    public void What_is_no_tree_is_damaged(params string[] mounts) => Assert.Throws<FormatException>(() => Plan(mounts));

    [Fact]
    public void Console_terminals_are_opened_before_they_are_mounted()
    {
        MountPlan plan = Plan(
            "1 0 8:1 / / rw - ext4 disk rw",
            "2 1 0:2 / /dev rw - tmpfs t rw",
            "3 2 0:3 /2 /dev/console rw - devpts d rw",
            "4 2 0:3 / /dev/pts rw - devpts d rw");
        List<MountStep> steps = [.. plan.Assembly];
        int devpts = steps.OfType<OpenTerminals>().Single().DevPts;
        Assert.Contains(steps, step => step is Attach { Path: "pts" } attach && attach.Mount == devpts);
        int opened = steps.FindIndex(step => step is OpenTerminals { Indexes.Max: 2 });
        Assert.True(opened >= 0 && opened < steps.FindIndex(step => step is CopyTree { Path: "2" }));
    }

    [Theory]
    [InlineData("rw,nosuid,relatime", MountFlags.MS_NOSUID | MountFlags.MS_RELATIME, MountAttributes.MOUNT_ATTR_NOSUID)]
    [InlineData("ro", MountFlags.MS_RDONLY | MountFlags.MS_STRICTATIME,
        MountAttributes.MOUNT_ATTR_RDONLY | MountAttributes.MOUNT_ATTR_STRICTATIME)]
    [InlineData("rw,noatime,nodiratime", MountFlags.MS_NOATIME | MountFlags.MS_NODIRATIME,
        MountAttributes.MOUNT_ATTR_NOATIME | MountAttributes.MOUNT_ATTR_NODIRATIME)]
    public void Words_are_flags_and_flags_attributes(string words, MountFlags flags, MountAttributes attributes)
    {
        Assert.Equal(flags, MountText.FlagsOf(words));
        Assert.Equal(attributes, MountText.Attributes(flags));
    }

    [Fact]
    public void Options_of_the_file_system_are_parted_from_flags_of_all()
    {
        MountFlags flags = MountText.FlagsOfFileSystem("ro,lazytime,size=4k,x=a\\054b", out string own);
        Assert.Equal(MountFlags.MS_RDONLY | MountFlags.MS_LAZYTIME, flags);
        Assert.Equal("size=4k,x=a\\054b", own);
        Assert.Equal([("size", "4k"), ("x", "a,b")], MountText.Split(own));
    }

    [Theory]
    [InlineData("/a/b", "/", "a/b")]
    [InlineData("/a/b", "/a", "b")]
    [InlineData("/a", "/a", "")]
    [InlineData("/ab", "/a", null)]
    [InlineData("/", "/", "")]
    public void A_path_is_below_another_by_whole_names(string path, string top, string? below)
        => Assert.Equal(below, PathText.Below(path, top));

    [Fact]
    public void Ids_are_mapped_both_ways()
    {
        IdMap map = IdMap.Parse("         0     100000      1000\n      1000       5000          1\n");
        Assert.Equal((5u, 1000u, 65534u), (map.ToInner(100005), map.ToInner(5000), map.ToInner(1)));
        Assert.Equal((100005u, 5000u, 65534u), (map.ToOuter(5), map.ToOuter(1000), map.ToOuter(2000)));
    }

    // A container's root is there first, whatever it is of: what lies on it is on no overlay that is still to be made.
    [Fact]
    public void An_overlay_of_directories_on_the_overlay_of_the_root_is_made_anew()
    {
        List<MntEntry> inner = Entries("11 0 0:30 / / rw - overlay overlay rw", "12 11 0:31 / /mnt rw - overlay overlay rw");
        inner[1].Options = "lowerdir=/lower:/lowest";
        IReadOnlyList<MountNode> main = MountNode.Build(Entries("1 0 0:30 / / rw - overlay overlay rw"));
        IReadOnlyList<MountNode> nested = MountNode.Build(inner);
        Assert.True(new MountForest([main, nested], true).IsMadeAnew(nested[1]));
    }

    private static IEnumerable<MountNode> FindUnmakeable(IEnumerable<MntEntry> entries)
    {
        var forest = new MountForest([MountNode.Build(entries)], true);
        return forest.Nodes.Where(forest.IsUnmakeable);
    }

    private static MountPlan Plan(params string[] mounts) => MountPlan.Make(Entries(mounts), "/new/root", _ => null);

    private static List<MntEntry> Entries(params string[] mounts)
        => [.. MountInfo.Parse(Encoding.UTF8.GetBytes(string.Join('\n', mounts) + "\n")).Select(mount => new MntEntry
        {
            Fstype = (uint)FileSystems.Code(mount.FileSystemType),
            MntId = (uint)mount.Id,
            RootDev = (mount.DevMajor << 20) | mount.DevMinor,
            ParentMntId = (uint)mount.ParentId,
            Flags = (uint)(MountText.FlagsOf(mount.Options) | (mount.Unbindable ? MountFlags.MS_UNBINDABLE : 0)),
            Root = mount.Root,
            Mountpoint = mount.MountPoint,
            Source = mount.Source,
            Options = string.Empty,
            SharedId = (uint)mount.Shared,
            MasterId = (uint)mount.Master,
            SbFlags = 0,
        })];
}
