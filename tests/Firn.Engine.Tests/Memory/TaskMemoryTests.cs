using Firn.Engine.Memory;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux.Abi;

namespace Firn.Engine.Tests.Memory;

public sealed class TaskMemoryTests
{
    private static readonly PagesSource ParentFile = new("pages-1.img", 1 << 20);
    private static readonly PagesSource ChildFile = new("pages-2.img", 1 << 20);

    [Fact]
    public void A_child_inherits_where_content_is_at_the_same_place()
    {
        TaskMemory parent = Make(
            [Anonymous(0x10000, 0x20000), Anonymous(0x30000, 0x38000)],
            [new(0x10000, 0x14000, ParentFile, 0), new(0x30000, 0x31000, ParentFile, 0x4000)]);
        TaskMemory child = Make(
            [Anonymous(0x10000, 0x20000), Anonymous(0x30000, 0x38000)],
            [new(0x10000, 0x12000, ParentFile, 0), new(0x12000, 0x13000, ChildFile, 0), new(0x30000, 0x31000, ChildFile, 0x1000)]);
        child.Inherit(parent);

        Assert.True(child.SharesWithParent);
        InheritedPart part = Assert.Single(child.Vmas[0].Inherited);
        Assert.Equal(new AddressRange(0x10000, 0x20000), part.Range);
        Assert.Equal([new SourceRun(0x12000, 0x13000, ChildFile, 0)], part.Own);
        Assert.Equal([new AddressRange(0x13000, 0x14000)], part.Dropped);
        Assert.Empty(child.Vmas[1].Inherited);
    }

    [Fact]
    public void The_same_file_at_another_place_is_not_shared()
    {
        List<AddressRange> shared = [];
        List<SourceRun> own = [];
        TaskMemory.Compare(
            [new SourceRun(0x1000, 0x5000, ParentFile, 0x1000)],
            [new SourceRun(0x2000, 0x3000, ParentFile, 0x2000), new SourceRun(0x3000, 0x4000, ParentFile, 0x7000)],
            new AddressRange(0x1000, 0x5000),
            shared,
            own);
        Assert.Equal([new AddressRange(0x2000, 0x3000)], shared);
        Assert.Equal(
            [
                new(0x1000, 0x2000, ParentFile, 0x1000),
                new(0x3000, 0x4000, ParentFile, 0x3000),
                new(0x4000, 0x5000, ParentFile, 0x4000),
            ],
            own);
    }

    [Fact]
    public void A_mapping_with_another_advice_on_huge_pages_is_not_inherited()
    {
        VmaEntry advised = Anonymous(0x10000, 0x20000);
        advised.Madv = 1UL << (int)MemoryAdvice.MADV_HUGEPAGE;
        SourceRun[] pages = [new(0x10000, 0x11000, ParentFile, 0)];
        TaskMemory parent = Make([advised], pages);
        TaskMemory child = Make([Anonymous(0x10000, 0x20000)], pages);
        child.Inherit(parent);
        Assert.False(child.SharesWithParent);
    }

    [Fact]
    public void A_parents_stack_reaches_down_as_far_as_a_childs()
    {
        SourceRun[] pages = [new(0x1f000, 0x20000, ParentFile, 0)];
        TaskMemory parent = Make([Stack(0x18000, 0x20000)], pages);
        TaskMemory child = Make([Stack(0x10000, 0x20000)], [new(0x16000, 0x19000, ChildFile, 0), .. pages]);
        TaskMemory grandchild = Make([Stack(0x8000, 0x20000)], pages);
        child.Inherit(parent);
        grandchild.Inherit(child);
        child.ReachDownFor(grandchild);
        parent.ReachDownFor(child);
        Assert.Equal(0x8000UL, parent.Vmas[0].MapStart);
        Assert.Equal(0x8000UL, child.Vmas[0].MapStart);
        Assert.Equal(new AddressRange(0x8000, 0x20000), Assert.Single(child.Vmas[0].Inherited).Range);
        Assert.Equal([new(0x16000, 0x18000, ChildFile, 0), new(0x18000, 0x19000, ChildFile, 0x2000)], child.Vmas[0].Inherited[0].Own);
        Assert.Equal(new AddressRange(0x8000, 0x20000), Assert.Single(grandchild.Vmas[0].Inherited).Range);
    }

    [Fact]
    public void Pages_outside_of_mappings_and_mappings_that_overlap_are_refused()
    {
        Assert.Throws<ImageFormatException>(() => Make([Anonymous(0x10000, 0x20000)], [new(0x20000, 0x21000, ParentFile, 0)]));
        Assert.Throws<ImageFormatException>(() => Make([Anonymous(0x10000, 0x20000)], [new(0x8000, 0x9000, ParentFile, 0)]));
        Assert.Throws<ImageFormatException>(() => Make([Anonymous(0x10000, 0x20000), Anonymous(0x1f000, 0x21000)], []));
        Assert.Throws<ImageFormatException>(() => Make([Anonymous(0x10000, 0x10800)], []));
        Assert.Throws<ImageFormatException>(() => Make([Anonymous(0x7ffffffff000, 0x800000000000)], []));
        Assert.Throws<ImageFormatException>(() => Make([Anonymous(0x20000, 0x10000)], []));
    }

    [Fact]
    public void A_run_across_mappings_is_divided()
    {
        TaskMemory memory = Make([Anonymous(0x10000, 0x20000), Anonymous(0x20000, 0x30000)], [new(0x1f000, 0x22000, ParentFile, 0)]);
        Assert.Equal([new SourceRun(0x1f000, 0x20000, ParentFile, 0)], memory.Vmas[0].Pages);
        Assert.Equal([new SourceRun(0x20000, 0x22000, ParentFile, 0x1000)], memory.Vmas[1].Pages);
    }

    private static VmaEntry Anonymous(ulong start, ulong end) => new()
    {
        Start = start,
        End = end,
        Pgoff = 0,
        Shmid = 0,
        Prot = 3,
        Flags = (uint)(MapFlags.MAP_PRIVATE | MapFlags.MAP_ANONYMOUS),
        Status = (uint)(VmaStatus.Regular | VmaStatus.AnonymousPrivate),
        Fd = -1,
    };

    private static VmaEntry Stack(ulong start, ulong end)
    {
        VmaEntry vma = Anonymous(start, end);
        vma.Flags |= (uint)MapFlags.MAP_GROWSDOWN;
        return vma;
    }

    private static TaskMemory Make(IEnumerable<VmaEntry> vmas, IEnumerable<SourceRun> pages)
    {
        var mm = new MmEntry();
        mm.Vmas.AddRange(vmas);
        var task = new RestoredTask { Entry = new PstreeEntry { Pid = 100 }, Parent = null, Ids = new TaskKobjIdsEntry(), Mm = mm };
        return TaskMemory.Make(task, [.. pages]);
    }
}
