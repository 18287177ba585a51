using System.Buffers.Binary;

namespace Firn.Linux;

/// <summary>Where a member lies in a structure of the kernel.</summary>
/// <param name="Offset">Its offset in bytes.</param>
/// <param name="Size">Its size in bytes, where it is an integer; else 0.</param>
/// <param name="Container">The size of the structure or union that it stands in: one without a name, or the whole.</param>
public readonly record struct KernelMember(int Offset, int Size, int Container);

/// <summary>The kernel's own description of its types and functions (BTF), as /sys/kernel/btf/vmlinux holds it.</summary>
/// <remarks>
/// Documentation/bpf/btf.rst, include/uapi/linux/btf.h: a header, then types that are numbered from 1, each of 12 bytes and what its kind
/// adds, then strings. A text that is not understood to its end tells nothing.
/// </remarks>
public readonly ref struct KernelTypes
{
    private const int HeaderSize = 24;
    private const int TypeSize = 12;
    private const int MemberSize = 12;
    private const ushort Magic = 0xeb9f;
    private const int Depth = 8;

    private readonly ReadOnlySpan<byte> types;
    private readonly ReadOnlySpan<byte> strings;
    private readonly int[] offsets;

    private enum Kind
    {
        Integer = 1,
        Pointer = 2,
        Array = 3,
        Structure = 4,
        Union = 5,
        Enumeration = 6,
        Typedef = 8,
        Volatile = 9,
        Constant = 10,
        Function = 12,
        FunctionPrototype = 13,
        Variable = 14,
        Section = 15,
        DeclarationTag = 17,
        TypeTag = 18,
        Enumeration64 = 19,
    }

    /// <summary>Finds the places of all types.</summary>
    /// <param name="text">The file's content, which must stay as long as this.</param>
    /// <exception cref="FormatException">It is not such a text, or of a kind that is younger than Firn.</exception>
    public KernelTypes(ReadOnlySpan<byte> text)
    {
        if (text.Length < HeaderSize || BinaryPrimitives.ReadUInt16LittleEndian(text) != Magic)
        {
            throw new FormatException("BTF: no header");
        }

        uint header = Word(text, 4);
        types = Part(text, header + (ulong)Word(text, 8), Word(text, 12));
        strings = Part(text, header + (ulong)Word(text, 16), Word(text, 20));
        var places = new List<int>(1 << 17) { -1 };
        for (int at = 0; at < types.Length;)
        {
            if (types.Length - at < TypeSize)
            {
                throw new FormatException("BTF: ends within a type");
            }

            places.Add(at);
            at += TypeSize + More(Word(types, at + 4));
            if (at > types.Length)
            {
                throw new FormatException("BTF: ends within what stands behind a type");
            }
        }

        offsets = [.. places];
    }

    /// <summary>The number of a function; 0 if there is none of that name.</summary>
    public int Function(ReadOnlySpan<byte> name) => Find(Kind.Function, name);

    /// <summary>Where a member of a structure lies; null if there is none of these names.</summary>
    /// <param name="structure">The structure's name.</param>
    /// <param name="member">The member's; it may stand in a structure or union without a name.</param>
    public KernelMember? Member(ReadOnlySpan<byte> structure, ReadOnlySpan<byte> member)
    {
        int name = NameOffset(member);
        int id = Find(Kind.Structure, structure);
        return id == 0 || name < 0 ? null : Member(id, name, 0, Depth);
    }

    private static uint Word(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static ReadOnlySpan<byte> Part(ReadOnlySpan<byte> text, ulong start, uint length)
        => start + length <= (ulong)text.Length
            ? text.Slice((int)start, (int)length)
            : throw new FormatException("BTF: a part lies outside of the file");

    private static Kind KindOf(uint info) => (Kind)((info >> 24) & 0x1f);

    private static int CountOf(uint info) => (int)(info & 0xffff);

    // What stands behind a type of some kind.
    private static int More(uint info) => (int)KindOf(info) switch
    {
        (int)Kind.Integer or (int)Kind.Variable or (int)Kind.DeclarationTag => 4,
        (int)Kind.Array => 12,
        (int)Kind.Structure or (int)Kind.Union or (int)Kind.Section or (int)Kind.Enumeration64 => 12 * CountOf(info),
        (int)Kind.Enumeration or (int)Kind.FunctionPrototype => 8 * CountOf(info),
        > 0 and <= (int)Kind.Enumeration64 => 0,
        _ => throw new FormatException($"BTF: a type of the unknown kind {KindOf(info)}"),
    };

    private int NameOffset(ReadOnlySpan<byte> name)
    {
        Span<byte> whole = stackalloc byte[name.Length + 2];
        whole.Clear();
        name.CopyTo(whole[1..]);
        int before = strings.IndexOf(whole);
        return before < 0 ? -1 : before + 1;
    }

    private int Find(Kind kind, ReadOnlySpan<byte> name)
    {
        int wanted = NameOffset(name);
        for (int id = 1; wanted >= 0 && id < offsets.Length; id++)
        {
            if (Word(types, offsets[id]) == (uint)wanted && KindOf(Word(types, offsets[id] + 4)) == kind)
            {
                return id;
            }
        }

        return 0;
    }

    private KernelMember? Member(int id, int name, int start, int depth)
    {
        int at = offsets[id];
        uint info = Word(types, at + 4);
        for (int i = 0; i < CountOf(info); i++)
        {
            ReadOnlySpan<byte> member = types.Slice(at + TypeSize + (i * MemberSize), MemberSize);

            // Where the structure has bit fields, their sizes are in the uppermost byte.
            uint bits = Word(member, 8);
            int offset = start + (int)(((info >> 31) != 0 ? bits & 0xffffff : bits) / 8);
            uint type = Word(member, 4);
            if (type >= offsets.Length)
            {
                throw new FormatException("BTF: a member of a type that is not there");
            }

            if (Word(member, 0) == (uint)name)
            {
                return new KernelMember(offset, IntegerSize((int)type), (int)Word(types, at + 8));
            }

            if (Word(member, 0) == 0 && depth > 0 && type != 0
                && KindOf(Word(types, offsets[(int)type] + 4)) is Kind.Structure or Kind.Union
                && Member((int)type, name, offset, depth - 1) is { } found)
            {
                return found;
            }
        }

        return null;
    }

    private int IntegerSize(int type)
    {
        for (int depth = Depth; depth > 0 && type > 0 && type < offsets.Length; depth--)
        {
            int at = offsets[type];
            switch (KindOf(Word(types, at + 4)))
            {
                case Kind.Integer:
                    return (int)Word(types, at + 8);
                case Kind.Typedef or Kind.Volatile or Kind.Constant or Kind.TypeTag:
                    type = (int)Word(types, at + 8);
                    break;
                default:
                    return 0;
            }
        }

        return 0;
    }
}
