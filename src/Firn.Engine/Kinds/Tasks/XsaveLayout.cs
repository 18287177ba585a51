using System.Buffers.Binary;
using System.Runtime.Intrinsics.X86;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Where a processor's XSAVE instruction puts each component, in the standard format: it differs from model to model.</summary>
/// <remarks>Intel SDM volume 1, 13.4 "XSAVE area" and 13.2 "Enumeration of CPU support": CPUID leaf 0DH.</remarks>
internal sealed class XsaveLayout
{
    /// <summary>Bytes of the legacy region (FXSAVE) and the header: components from 2 on come after them.</summary>
    public const int ExtendedOffset = 576;

    /// <summary>Offset of XSTATE_BV, which says what components are not in their initial state.</summary>
    public const int HeaderOffset = 512;

    /// <summary>Where the kernel writes which components it has enabled, in bytes that the processor leaves alone.</summary>
    /// <remarks>arch/x86/kernel/fpu/xstate.c.</remarks>
    public const int EnabledOffset = 464;

    private const int Leaf = 0xd;

    private readonly (int Offset, int Size)[] components = new (int, int)[64];

    /// <summary>Makes a layout of given components.</summary>
    /// <param name="size">Bytes of the whole area.</param>
    /// <param name="parts">Number, offset and size of each component from 2 on.</param>
    public XsaveLayout(int size, params ReadOnlySpan<(int Number, int Offset, int Size)> parts)
    {
        Size = size;
        foreach ((int number, int offset, int length) in parts)
        {
            components[number] = (offset, length);
        }
    }

    /// <summary>The layout of the processor that this program runs on.</summary>
    public static XsaveLayout OfThisProcessor { get; } = Read();

    /// <summary>Bytes of the whole area, with all components that the kernel has enabled.</summary>
    public int Size { get; }

    /// <summary>The components from 2 on that the processor has and that fit into the area.</summary>
    public ulong Known
    {
        get
        {
            ulong mask = 0;
            for (int i = 2; i < components.Length; i++)
            {
                mask |= Has(i) ? 1UL << i : 0;
            }

            return mask;
        }
    }

    /// <summary>Whether the area holds a component.</summary>
    public bool Has(int number) => components[number].Size > 0 && components[number].Offset + components[number].Size <= Size;

    /// <summary>A component's bytes within an area.</summary>
    public Span<byte> Slice(Span<byte> area, int number) => area.Slice(components[number].Offset, components[number].Size);

    /// <inheritdoc cref="Slice(Span{byte}, int)"/>
    public ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> area, int number) => area.Slice(components[number].Offset, components[number].Size);

    /// <summary>The mask of the components that the kernel has enabled, out of an area that it wrote.</summary>
    public static ulong Enabled(ReadOnlySpan<byte> area) => BinaryPrimitives.ReadUInt64LittleEndian(area[EnabledOffset..]);

    /// <summary>The mask of the components that are not in their initial state (XSTATE_BV).</summary>
    public static ulong Present(ReadOnlySpan<byte> area)
        => area.Length < ExtendedOffset ? 0 : BinaryPrimitives.ReadUInt64LittleEndian(area[HeaderOffset..]);

    private static XsaveLayout Read()
    {
        const int SupervisorFlag = 1;
        (int low, int size, _, int high) = X86Base.CpuId(Leaf, 0);
        ulong supported = (uint)low | ((ulong)(uint)high << 32);
        var parts = new List<(int, int, int)>();
        for (int i = 2; i < 63; i++)
        {
            if ((supported & (1UL << i)) != 0)
            {
                (int length, int offset, int flags, _) = X86Base.CpuId(Leaf, i);
                if ((flags & SupervisorFlag) == 0)
                {
                    parts.Add((i, offset, length));
                }
            }
        }

        return new XsaveLayout(size, [.. parts]);
    }
}
