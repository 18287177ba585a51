using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Firn.Images;
using Firn.Linux.Abi;
using Timespec = Firn.Linux.Abi.Timespec;
using Firn.Linux;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Reads archives that GNU tar or Firn has written: old GNU headers, ustar, and pax headers.</summary>
/// <param name="stream">The archive, unpacked by gzip.</param>
/// <param name="name">The image's name, for errors.</param>
internal sealed class TarReader(Stream stream, string name)
{
    private const int Block = 512;
    private const int MostExtended = 1 << 24;

    private readonly byte[] header = new byte[Block];
    private long position;
    private long rest;

    /// <summary>Goes on to the next member; null at the end. What was not read of the last one's data is passed over.</summary>
    /// <exception cref="ImageFormatException">The archive is damaged, or of a kind that isn't read.</exception>
    public TarEntry? Next()
    {
        SkipData();
        byte[]? longName = null;
        byte[]? longTarget = null;
        Dictionary<string, byte[]> extended = [];
        while (ReadBlock())
        {
            if (!header.AsSpan().ContainsAnyExcept((byte)0))
            {
                return null;
            }

            Verify();
            long size = Number(124, 12);
            switch ((char)header[156])
            {
                case 'L':
                    longName = ReadText(size);
                    continue;
                case 'K':
                    longTarget = ReadText(size);
                    continue;
                case 'x':
                    ParseExtended(ReadBytes(size), extended);
                    continue;
                case 'g':
                    _ = ReadBytes(size);
                    continue;
                default:
                    return MakeEntry(size, longName, longTarget, extended);
            }
        }

        return null;
    }

    /// <summary>Reads data of the member at hand, which are its ranges, one behind the other; 0 at their end.</summary>
    public int Read(Span<byte> buffer)
    {
        int count = (int)Math.Min(buffer.Length, rest);
        ReadExactly(buffer[..count]);
        rest -= count;
        return count;
    }

    private TarEntry MakeEntry(long size, byte[]? longName, byte[]? longTarget, Dictionary<string, byte[]> extended)
    {
        var type = (char)header[156];
        if (extended.Keys.Any(key => key.StartsWith("GNU.sparse.", StringComparison.Ordinal)))
        {
            throw Damaged("has sparse files in the form of pax, which isn't read");
        }

        byte[] path = extended.GetValueOrDefault("path") ?? longName ?? ShortName();
        byte[] target = extended.GetValueOrDefault("linkpath") ?? longTarget ?? Text(157, 100).ToArray();
        size = extended.TryGetValue("size", out byte[]? sizeText) ? ParseNumber(sizeText) : size;
        long realSize = size;
        List<(long Start, long End)> data = size > 0 ? [(0, size)] : [];
        Timespec modified = extended.TryGetValue("mtime", out byte[]? time) ? ParseTime(time) : new Timespec { tv_sec = Number(136, 12) };
        uint uid = (uint)(extended.TryGetValue("uid", out byte[]? owner) ? ParseNumber(owner) : Number(108, 8));
        uint gid = (uint)(extended.TryGetValue("gid", out byte[]? group) ? ParseNumber(group) : Number(116, 8));
        uint mode = ((uint)Number(100, 8) & 0xfff) | type switch
        {
            '2' => InodeMode.S_IFLNK,
            '3' => InodeMode.S_IFCHR,
            '4' => InodeMode.S_IFBLK,
            '5' => InodeMode.S_IFDIR,
            '6' => InodeMode.S_IFIFO,
            '0' or '\0' or '1' or '7' or 'S' => InodeMode.S_IFREG,
            _ => throw Damaged($"has a member of the unknown type {(int)type}"),
        };
        ulong device = type is '3' or '4' ? DeviceNumber.Make((uint)Number(329, 8), (uint)Number(337, 8)) : 0;
        if (type == 'S')
        {
            realSize = Number(483, 12);
            data = ReadMap(size, realSize);
        }

        bool isLink = type == '1';
        rest = mode >> 12 == InodeMode.S_IFREG >> 12 && !isLink ? size : 0;
        return new TarEntry
        {
            Path = Clean(path),
            Mode = mode,
            Uid = uid,
            Gid = gid,
            Size = realSize,
            Modified = modified,
            Device = device,
            Target = isLink ? Clean(target) : target,
            IsHardLink = isLink,
            Attributes = [.. extended.Where(pair => pair.Key.StartsWith("SCHILY.xattr.", StringComparison.Ordinal))
                .Select(pair => (pair.Key["SCHILY.xattr.".Length..], pair.Value))],
            Data = rest > 0 ? data : [],
        };
    }

    private List<(long Start, long End)> ReadMap(long stored, long size)
    {
        List<(long Start, long End)> map = [];
        long sum = 0;
        bool goesOn = AddRanges(386, 4, header[482]);
        while (goesOn)
        {
            if (!ReadBlock())
            {
                throw Damaged("ends within the map of a sparse file");
            }

            goesOn = AddRanges(0, 21, header[504]);
        }

        return sum == stored ? map : throw Damaged("has a sparse file whose map doesn't fit its data");

        bool AddRanges(int offset, int count, byte more)
        {
            for (int i = 0; i < count && header[offset + (24 * i)] != 0; i++)
            {
                long start = Number(offset + (24 * i), 12);
                long length = Number(offset + (24 * i) + 12, 12);
                if (start < 0 || length < 0 || start > size - length || (map.Count > 0 && start < map[^1].End))
                {
                    throw Damaged("has a sparse file with a map out of order");
                }

                sum += length;
                if (length > 0)
                {
                    map.Add((start, start + length));
                }
            }

            return more != 0;
        }
    }

    // Names stay below the root of the file system.
    private byte[] Clean(byte[] path)
    {
        List<byte> clean = [];
        foreach (Range part in path.AsSpan().Split((byte)'/'))
        {
            ReadOnlySpan<byte> word = path.AsSpan()[part];
            if (word.SequenceEqual(".."u8))
            {
                throw Damaged("has a name with .. in it");
            }

            if (!word.IsEmpty && !word.SequenceEqual("."u8))
            {
                if (clean.Count > 0)
                {
                    clean.Add((byte)'/');
                }

                clean.AddRange(word);
            }
        }

        return [.. clean];
    }

    private byte[] ShortName()
    {
        ReadOnlySpan<byte> prefix = header[262] == 0 ? Text(345, 155) : default;
        return prefix.IsEmpty ? Text(0, 100).ToArray() : [.. prefix, (byte)'/', .. Text(0, 100)];
    }

    private ReadOnlySpan<byte> Text(int offset, int length)
    {
        ReadOnlySpan<byte> field = header.AsSpan(offset, length);
        int end = field.IndexOf((byte)0);
        return end < 0 ? field : field[..end];
    }

    private long Number(int offset, int length)
    {
        ReadOnlySpan<byte> field = header.AsSpan(offset, length);
        if ((field[0] & 0x80) != 0)
        {
            Span<byte> last = stackalloc byte[8];
            field[Math.Max(0, length - 8)..].CopyTo(last[Math.Max(0, 8 - length)..]);
            if (length <= 8)
            {
                last[8 - length] = field[0] == 0xff ? (byte)0xff : (byte)(field[0] & 0x7f);
            }

            return BinaryPrimitives.ReadInt64BigEndian(last);
        }

        long value = 0;
        foreach (byte digit in field)
        {
            if (digit is >= (byte)'0' and <= (byte)'7')
            {
                value = (value << 3) | (uint)(digit - '0');
            }
            else if (digit is not ((byte)' ' or 0))
            {
                throw Damaged("has a number that is none");
            }
        }

        return value;
    }

    private void Verify()
    {
        long expected = Number(148, 8);
        long sum = 8 * ' ';
        for (int i = 0; i < Block; i++)
        {
            sum += i is >= 148 and < 156 ? 0 : header[i];
        }

        if (sum != expected)
        {
            throw Damaged("has a header with a wrong checksum");
        }
    }

    private void ParseExtended(byte[] records, Dictionary<string, byte[]> into)
    {
        for (int at = 0; at < records.Length;)
        {
            ReadOnlySpan<byte> record = records.AsSpan(at);
            int space = record.IndexOf((byte)' ');
            int length = 0;
            _ = space > 0 && int.TryParse(record[..space], NumberStyles.None, CultureInfo.InvariantCulture, out length);
            int equals = length > space && length <= record.Length ? record[..length].IndexOf((byte)'=') : -1;
            if (equals < space)
            {
                throw Damaged("has a damaged pax header");
            }

            into[Encoding.UTF8.GetString(record[(space + 1)..equals])] = record[(equals + 1)..(length - 1)].ToArray();
            at += length;
        }
    }

    private long ParseNumber(byte[] text)
        => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) && number >= 0
            ? number
            : throw Damaged("has a number that is none");

    private Timespec ParseTime(byte[] text)
        => decimal.TryParse(Encoding.ASCII.GetString(text), NumberStyles.Float, CultureInfo.InvariantCulture, out decimal seconds)
            ? Timespec.FromNanoseconds((long)(seconds * 1_000_000_000m))
            : throw Damaged("has a time that is none");

    private byte[] ReadText(long length)
    {
        byte[] bytes = ReadBytes(length);
        int end = Array.IndexOf(bytes, (byte)0);
        return end < 0 ? bytes : bytes[..end];
    }

    private byte[] ReadBytes(long length)
    {
        if (length is < 0 or > MostExtended)
        {
            throw Damaged("has a header of impossible length");
        }

        byte[] bytes = new byte[length];
        ReadExactly(bytes);
        SkipPadding();
        return bytes;
    }

    private void SkipData()
    {
        byte[] buffer = new byte[Math.Min(rest, 1 << 16)];
        while (rest > 0)
        {
            Read(buffer);
        }

        SkipPadding();
    }

    private void SkipPadding()
    {
        int over = (int)(position % Block);
        if (over > 0)
        {
            ReadExactly(new byte[Block - over]);
        }
    }

    private bool ReadBlock()
    {
        int read = stream.ReadAtLeast(header, Block, throwOnEndOfStream: false);
        position += read;
        return read == Block || (read == 0 ? false : throw Damaged("ends within a header"));
    }

    private void ReadExactly(Span<byte> buffer)
    {
        try
        {
            stream.ReadExactly(buffer);
        }
        catch (EndOfStreamException)
        {
            throw Damaged("ends within a file");
        }

        position += buffer.Length;
    }

    private ImageFormatException Damaged(string what) => new(name, position, "tmpfs-archive", $"{what}; the image is damaged: dump again");
}
