using Firn.Linux.Abi;

namespace Firn.Linux.Procfs;

/// <summary>/proc/PID/maps: the mappings of an address space, by ascending address.</summary>
/// <remarks>Kernel: fs/proc/task_mmu.c; proc_pid_maps(5). A text that is read while the task runs may be of several moments.</remarks>
public static class Maps
{
    /// <summary>Reads the mappings of a process.</summary>
    /// <exception cref="LinuxException">It can't be read: ENOENT or ESRCH if the process is gone.</exception>
    /// <exception cref="FormatException">The kernel writes something unknown.</exception>
    public static List<Mapping> Read(int pid) => Parse(ProcFile.Read($"/proc/{pid}/maps"));

    /// <summary>Parses the text of maps.</summary>
    /// <exception cref="FormatException">It is not such a text.</exception>
    public static List<Mapping> Parse(ReadOnlySpan<byte> text)
    {
        var mappings = new List<Mapping>();
        var names = new NameCache(text);
        var reader = new ByteReader(text);
        while (reader.TryLine(out ReadOnlySpan<byte> line))
        {
            mappings.Add(ParseLine(line, ref names));
        }

        return mappings;
    }

    internal static Mapping ParseLine(ReadOnlySpan<byte> line, ref NameCache names)
    {
        var reader = new ByteReader(line);
        ulong start = reader.Hex();
        reader.Take("-"u8);
        ulong end = reader.Hex();
        ReadOnlySpan<byte> access = reader.Word();
        if (access.Length != 4)
        {
            throw new FormatException("maps: a mapping without its four letters of access");
        }

        ulong offset = reader.Hex();
        uint major = (uint)reader.Hex();
        reader.Take(":"u8);
        uint minor = (uint)reader.Hex();
        ulong inode = reader.Decimal();
        reader.SkipBlanks();
        return new Mapping
        {
            Start = start,
            End = end,
            Protection = (access[0] == 'r' ? ProtectionFlags.PROT_READ : 0)
                | (access[1] == 'w' ? ProtectionFlags.PROT_WRITE : 0)
                | (access[2] == 'x' ? ProtectionFlags.PROT_EXEC : 0),
            Shared = access[3] == 's',
            Offset = offset,
            DevMajor = major,
            DevMinor = minor,
            Inode = inode,
            Name = names.Get(reader.Rest),
        };
    }

    /// <summary>Gives one string for a name that stands on several lines, as the four or five mappings of every library do.</summary>
    /// <param name="text">The whole text, of which the names are parts.</param>
    internal ref struct NameCache(ReadOnlySpan<byte> text)
    {
        private const int Size = 64;

        private readonly ReadOnlySpan<byte> text = text;
        private readonly (int Offset, int Length, string Name)[] entries = new (int, int, string)[Size];

        /// <summary>The name as a string.</summary>
        public readonly string Get(ReadOnlySpan<byte> name)
        {
            if (name.IsEmpty)
            {
                return string.Empty;
            }

            // Paths differ near their ends: the last bytes and the length choose the place.
            int place = ((name[^1] * 31) + (name[name.Length / 2] * 7) + (name[^Math.Min(8, name.Length)] * 17) + name.Length) % Size;
            ref (int Offset, int Length, string Name) entry = ref entries[place];
            if (entry.Length == name.Length && text.Slice(entry.Offset, entry.Length).SequenceEqual(name))
            {
                return entry.Name;
            }

            if (text.Overlaps(name, out int offset))
            {
                entry = (offset, name.Length, ProcText.UnescapeNewlines(name));
                return entry.Name;
            }

            return ProcText.UnescapeNewlines(name);
        }
    }
}
