using System.Buffers.Binary;
using System.Numerics;
using System.Runtime.InteropServices;
using Firn.Images;
using Google.Protobuf;
using Google.Protobuf.Collections;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>x87, SSE, AVX, AVX-512, protection keys: between the kernel's XSAVE area and the message, bit by bit.</summary>
/// <remarks>
/// The message keeps each component by its name, so that an image can go to a processor that lays its area out in another way. Components
/// that CRIU's message has no field for are kept whole, in a field that CRIU passes over.
/// </remarks>
internal static class ExtendedState
{
    private const int Bndregs = 3;
    private const int Bndcsr = 4;
    private const int Ymm = 2;
    private const int Opmask = 5;
    private const int ZmmUpper = 6;
    private const int Hi16Zmm = 7;
    private const int Pkru = 9;
    private const ulong FpAndSse = 3;

    private static readonly string[] Names =
        ["x87", "SSE", "AVX", "MPX", "MPX", "AVX-512", "AVX-512", "AVX-512", "PT", "protection keys", "PASID", "CET", "CET", "HDC", "UINTR", "LBR", "HWP", "AMX", "AMX", "APX"];

    /// <summary>Makes the message out of an area that the kernel wrote.</summary>
    public static UserX86FpregsEntry ToMessage(ReadOnlySpan<byte> area, XsaveLayout layout)
    {
        var message = new UserX86FpregsEntry
        {
            Cwd = BinaryPrimitives.ReadUInt16LittleEndian(area),
            Swd = BinaryPrimitives.ReadUInt16LittleEndian(area[2..]),
            Twd = BinaryPrimitives.ReadUInt16LittleEndian(area[4..]),
            Fop = BinaryPrimitives.ReadUInt16LittleEndian(area[6..]),
            Rip = BinaryPrimitives.ReadUInt64LittleEndian(area[8..]),
            Rdp = BinaryPrimitives.ReadUInt64LittleEndian(area[16..]),
            Mxcsr = BinaryPrimitives.ReadUInt32LittleEndian(area[24..]),
            MxcsrMask = BinaryPrimitives.ReadUInt32LittleEndian(area[28..]),
        };
        Add(message.StSpace, area.Slice(32, 128));
        Add(message.XmmSpace, area.Slice(160, 256));
        if (area.Length < XsaveLayout.ExtendedOffset)
        {
            return message;
        }

        var xsave = new UserX86XsaveEntry
        {
            XstateBv = BinaryPrimitives.ReadUInt64LittleEndian(area[XsaveLayout.HeaderOffset..]),
            Cet = new UserX86CetEntry { Cet = 0, Ssp = 0 },
        };
        ulong enabled = layout.Known & XsaveLayout.Enabled(area);
        for (int i = 2; i < 63; i++)
        {
            if ((enabled & (1UL << i)) != 0)
            {
                AddComponent(xsave, i, layout.Slice(area, i));
            }
        }

        message.Xsave = xsave;
        return message;
    }

    /// <summary>Makes an area, as the kernel takes it, out of the message.</summary>
    /// <exception cref="CheckpointException">The thread used what this processor does not have.</exception>
    public static byte[] ToArea(UserX86FpregsEntry message, XsaveLayout layout)
    {
        byte[] bytes = new byte[Math.Max(layout.Size, XsaveLayout.ExtendedOffset)];
        Span<byte> area = bytes;
        BinaryPrimitives.WriteUInt16LittleEndian(area, (ushort)message.Cwd);
        BinaryPrimitives.WriteUInt16LittleEndian(area[2..], (ushort)message.Swd);
        BinaryPrimitives.WriteUInt16LittleEndian(area[4..], (ushort)message.Twd);
        BinaryPrimitives.WriteUInt16LittleEndian(area[6..], (ushort)message.Fop);
        BinaryPrimitives.WriteUInt64LittleEndian(area[8..], message.Rip);
        BinaryPrimitives.WriteUInt64LittleEndian(area[16..], message.Rdp);
        BinaryPrimitives.WriteUInt32LittleEndian(area[24..], message.Mxcsr);
        BinaryPrimitives.WriteUInt32LittleEndian(area[28..], message.MxcsrMask);
        Copy(message.StSpace, area.Slice(32, 128));
        Copy(message.XmmSpace, area.Slice(160, 256));
        ulong present = FpAndSse;
        if (message.Xsave is { } xsave)
        {
            present = xsave.XstateBv;
            RefuseUnknown(present & ~FpAndSse & ~layout.Known);
            for (int i = 2; i < 63; i++)
            {
                if (layout.Has(i))
                {
                    CopyComponent(xsave, i, layout.Slice(area, i));
                }
            }
        }

        BinaryPrimitives.WriteUInt64LittleEndian(area[XsaveLayout.HeaderOffset..], present);
        return bytes;
    }

    private static void AddComponent(UserX86XsaveEntry xsave, int number, ReadOnlySpan<byte> state)
    {
        switch (number)
        {
            case Ymm:
                Add(xsave.YmmhSpace, state);
                break;
            case Pkru:
                Add(xsave.Pkru, state);
                break;
            default:
                if (Words(xsave, number) is { } words)
                {
                    Add(words, state);
                }
                else if ((xsave.XstateBv & (1UL << number)) != 0)
                {
                    xsave.Components.Add(new XsaveComponentEntry { Number = (uint)number, State = ByteString.CopyFrom(state) });
                }

                break;
        }
    }

    private static void CopyComponent(UserX86XsaveEntry xsave, int number, Span<byte> state)
    {
        switch (number)
        {
            case Ymm:
                Copy(xsave.YmmhSpace, state);
                break;
            case Pkru:
                Copy(xsave.Pkru, state);
                break;
            default:
                if (Words(xsave, number) is { } words)
                {
                    Copy(words, state);
                }
                else if (xsave.Components.FirstOrDefault(component => component.Number == number) is { } component)
                {
                    component.State.Span[..Math.Min(state.Length, component.State.Length)].CopyTo(state);
                }

                break;
        }
    }

    private static RepeatedField<ulong>? Words(UserX86XsaveEntry xsave, int number) => number switch
    {
        Bndregs => xsave.BndregState,
        Bndcsr => xsave.BndcsrState,
        Opmask => xsave.OpmaskReg,
        ZmmUpper => xsave.ZmmUpper,
        Hi16Zmm => xsave.Hi16Zmm,
        _ => null,
    };

    private static void RefuseUnknown(ulong lacking)
    {
        if (lacking != 0)
        {
            int number = BitOperations.TrailingZeroCount(lacking);
            string name = number < Names.Length ? Names[number] : $"XSAVE component {number}";
            throw new CheckpointException($"a thread used {name} registers, which this processor doesn't have or its kernel has not enabled; restore on one that has them");
        }
    }

    private static void Add<T>(RepeatedField<T> field, ReadOnlySpan<byte> bytes)
        where T : unmanaged => field.AddRange(MemoryMarshal.Cast<byte, T>(bytes));

    // An image may have fewer words than the area; the rest is then as after a reset.
    private static void Copy<T>(RepeatedField<T> field, Span<byte> bytes)
        where T : unmanaged
    {
        Span<T> target = MemoryMarshal.Cast<byte, T>(bytes);
        int count = Math.Min(field.Count, target.Length);
        for (int i = 0; i < count; i++)
        {
            target[i] = field[i];
        }
    }
}
