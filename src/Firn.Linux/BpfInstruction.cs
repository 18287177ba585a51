namespace Firn.Linux;

/// <summary>Instructions of BPF, of which Firn needs few.</summary>
/// <remarks>
/// struct bpf_insn (include/uapi/linux/bpf.h), Documentation/bpf/standardization/instruction-set.rst: the operation in 8 bits, the register
/// that is changed and the one that is read in 4 each, an offset in 16, a number in 32.
/// </remarks>
internal static class BpfInstruction
{
    /// <summary>Ends the program with what register 0 holds.</summary>
    public static ulong Exit => Make(0x95, 0, 0, 0, 0);

    /// <summary>Loads 8 bytes.</summary>
    public static ulong Load(int to, int from, int offset) => Make(0x79, to, from, offset, 0);

    /// <summary>Stores 8 bytes.</summary>
    public static ulong Store(int to, int offset, int from) => Make(0x7b, to, from, offset, 0);

    /// <summary>Gives a register a value.</summary>
    public static ulong Set(int to, int value) => Make(0xb7, to, 0, 0, value);

    /// <summary>Copies a register.</summary>
    public static ulong Copy(int to, int from) => Make(0xbf, to, from, 0, 0);

    /// <summary>Adds a number to a register.</summary>
    public static ulong Add(int to, int value) => Make(0x07, to, 0, 0, value);

    /// <summary>Skips instructions if a register is not 0.</summary>
    public static ulong SkipUnlessZero(int register, int count) => Make(0x55, register, 0, count, 0);

    /// <summary>Calls one of the kernel's functions.</summary>
    public static ulong Call(int function) => Make(0x85, 0, 0, 0, function);

    private static ulong Make(byte operation, int to, int from, int offset, int value)
        => operation | ((ulong)to << 8) | ((ulong)from << 12) | ((ulong)(ushort)offset << 16) | ((ulong)(uint)value << 32);
}
