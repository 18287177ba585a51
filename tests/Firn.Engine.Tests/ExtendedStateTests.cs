using System.Buffers.Binary;
using Firn.Engine.Kinds.Tasks;
using Firn.Images;
using Firn.Images.Tests;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Tests;

/// <summary>Registers between the kernel's form and the message: not one bit may be lost.</summary>
public sealed class ExtendedStateTests
{
    // As an Intel server processor has it, with MPX and AMX; and a made-up one that packs the same in another order, with what CRIU doesn't
    // know.
    private static readonly XsaveLayout Intel = new(
        11008,
        (2, 576, 256),
        (3, 960, 64),
        (4, 1024, 64),
        (5, 1088, 64),
        (6, 1152, 512),
        (7, 1664, 1024),
        (9, 2688, 8),
        (17, 2752, 64),
        (18, 2816, 8192));

    private static readonly XsaveLayout Other = new(
        10880,
        (2, 576, 256),
        (5, 832, 64),
        (6, 896, 512),
        (7, 1408, 1024),
        (9, 2432, 8),
        (3, 2496, 64),
        (4, 2560, 64),
        (17, 2624, 64),
        (18, 2688, 8192));

    public static IEnumerable<TheoryDataRow<int>> Seeds => Enumerable.Range(1, 20).Select(seed => new TheoryDataRow<int>(seed));

    [Theory]
    [MemberData(nameof(Seeds))]
    public void An_area_comes_back_from_its_message_bit_by_bit(int seed)
    {
        byte[] area = RandomArea(Intel, seed);
        byte[] again = ExtendedState.ToArea(ExtendedState.ToMessage(area, Intel), Intel);
        ClearWhatOnlyTheKernelWrites(area);
        Assert.Equal(area, again);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void An_area_survives_a_processor_of_another_layout(int seed)
    {
        UserX86FpregsEntry message = ExtendedState.ToMessage(RandomArea(Intel, seed), Intel);
        byte[] elsewhere = ExtendedState.ToArea(message, Other);
        BinaryPrimitives.WriteUInt64LittleEndian(elsewhere.AsSpan(XsaveLayout.EnabledOffset), Other.Known | 3);
        Assert.Equal(message, ExtendedState.ToMessage(elsewhere, Other));
    }

    [Fact]
    public void What_the_message_has_no_field_for_goes_into_components()
    {
        UserX86FpregsEntry message = ExtendedState.ToMessage(RandomArea(Intel, 1), Intel);
        Assert.Equal([17U, 18U], message.Xsave.Components.Select(component => component.Number));
    }

    [Fact]
    public void A_register_that_this_processor_lacks_is_named()
    {
        UserX86FpregsEntry message = ExtendedState.ToMessage(RandomArea(Intel, 1), Intel);
        var small = new XsaveLayout(832, (2, 576, 256));
        Assert.Contains(
            "AVX-512",
            Assert.Throws<CheckpointException>(() => ExtendedState.ToArea(WithOnly(message, 1 << 5 | 7), small)).Message,
            StringComparison.Ordinal);
        Assert.Equal(832, ExtendedState.ToArea(WithOnly(message, 7), small).Length);
    }

    [Fact]
    public void Registers_in_images_of_CRIU_come_back_as_they_were()
    {
        // Its own layout, as the images come from a processor with AVX-512 and without MPX and protection keys.
        var layout = new XsaveLayout(2688, (2, 576, 256), (5, 1088, 64), (6, 1152, 512), (7, 1664, 1024));
        foreach (CriuFile file in CriuSets.Files.Where(file => file.Kind == ImageKind.Core))
        {
            var core = (CoreEntry)ImageFile.Decode(ImageKind.Core, file.Bytes, file.Name)[0].Message;
            byte[] area = ExtendedState.ToArea(core.ThreadInfo.Fpregs, layout);
            BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(XsaveLayout.EnabledOffset), layout.Known | 3);
            Assert.Equal(core.ThreadInfo.Fpregs, ExtendedState.ToMessage(area, layout));
            UserX86RegsEntry general = core.ThreadInfo.Gpregs.Clone();
            general.OrigAx = ulong.MaxValue;
            Assert.Equal(general, Registers.ToMessage(Registers.FromMessage(core.ThreadInfo.Gpregs)));
        }
    }

    [Theory]
    [InlineData(Errno.ERESTARTSYS, true)]
    [InlineData(Errno.ERESTARTNOINTR, true)]
    [InlineData(Errno.ERESTARTNOHAND, true)]
    [InlineData(Errno.ERESTART_RESTARTBLOCK, false)]
    public void An_interrupted_call_is_not_yet_begun_or_interrupted(Errno errno, bool begins)
    {
        var found = new UserRegs { rip = 0x1002, orig_rax = 202, rax = (ulong)-(long)errno };
        UserRegs saved = InterruptedCall.NotYetBegun(found);
        Assert.Equal(begins ? 0x1000UL : 0x1002UL, saved.rip);
        Assert.Equal(begins ? 202UL : unchecked((ulong)-(long)Errno.EINTR), saved.rax);
        Assert.Equal(begins ? ulong.MaxValue : 202UL, saved.orig_rax);
    }

    [Fact]
    public void Outside_of_a_call_the_same_number_is_just_a_number()
    {
        var found = new UserRegs { rip = 0x1002, orig_rax = ulong.MaxValue, rax = unchecked((ulong)-512L) };
        Assert.Equal(found, InterruptedCall.NotYetBegun(found));
    }

    private static UserX86FpregsEntry WithOnly(UserX86FpregsEntry message, ulong present)
    {
        UserX86FpregsEntry copy = message.Clone();
        copy.Xsave.XstateBv = present;
        return copy;
    }

    private static byte[] RandomArea(XsaveLayout layout, int seed)
    {
        var random = new Random(seed);
        byte[] area = new byte[layout.Size];
        random.NextBytes(area.AsSpan(0, 416));

        // The kernel clears the gaps and gives what isn't in use its initial state.
        for (int i = 2; i < 63; i++)
        {
            if (layout.Has(i))
            {
                random.NextBytes(layout.Slice(area.AsSpan(), i));
            }
        }

        area.AsSpan(5, 1).Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(XsaveLayout.EnabledOffset), layout.Known | 3);
        BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(XsaveLayout.HeaderOffset), layout.Known | (uint)random.Next(4));
        return area;
    }

    private static void ClearWhatOnlyTheKernelWrites(byte[] area) => area.AsSpan(XsaveLayout.EnabledOffset, sizeof(ulong)).Clear();
}
