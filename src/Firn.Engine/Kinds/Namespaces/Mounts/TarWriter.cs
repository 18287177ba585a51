using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using Firn.Linux.Abi;
using Firn.Linux;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Writes archives as GNU tar does, with holes, and with what only pax headers can hold: whole times and attributes.</summary>
/// <remarks>
/// System.Formats.Tar knows no sparse members, which GNU tar makes of each file with a hole (--sparse), and CRIU lets GNU tar make and read
/// these images. Format: GNU tar manual, "Basic Tar Format"; pax(1).
/// </remarks>
internal sealed class TarWriter(Stream stream) : IDisposable
{
    private const int Block = 512;
    private const int RecordSize = 20 * Block;
    private const int RangesInHeader = 4;
    private const int RangesInBlock = 21;

    private readonly byte[] header = new byte[Block];
    private long written;

    /// <summary>Begins a member. What follows is its data, as many bytes as its ranges have, then <see cref="EndData"/>.</summary>
    public void Begin(TarEntry entry)
    {
        WriteExtended(entry);
        byte[] name = [.. "./"u8, .. entry.Path, .. entry.Type == InodeMode.S_IFDIR && entry.Path.Length > 0 ? "/"u8 : []];
        byte[] target = entry.IsHardLink ? [.. "./"u8, .. entry.Target] : entry.Target;
        WriteLong(name, 'L');
        WriteLong(target, 'K');
        bool isSparse = entry.Type == InodeMode.S_IFREG && !entry.IsHardLink && !(entry.Data is [(0, long end)] && end == entry.Size)
            && entry.Size > 0;
        char type = entry.IsHardLink ? '1' : entry.Type switch
        {
            InodeMode.S_IFLNK => '2',
            InodeMode.S_IFCHR => '3',
            InodeMode.S_IFBLK => '4',
            InodeMode.S_IFDIR => '5',
            InodeMode.S_IFIFO => '6',
            _ => isSparse ? 'S' : '0',
        };
        long stored = entry.IsHardLink || entry.Type != InodeMode.S_IFREG ? 0 : entry.Data.Sum(range => range.End - range.Start);
        Start(name, type, entry.Mode & 0xfff, stored);
        Number(108, 8, entry.Uid);
        Number(116, 8, entry.Gid);
        Number(136, 12, entry.Modified.tv_sec);
        target.AsSpan(0, Math.Min(100, target.Length)).CopyTo(header.AsSpan(157));
        if (type is '3' or '4')
        {
            Number(329, 8, DeviceNumber.Major(entry.Device));
            Number(337, 8, DeviceNumber.Minor(entry.Device));
        }

        // The map of a sparse member: what of it is here, and for the rest nothing. It ends with an empty range where there is a hole.
        List<(long Start, long Length)> map = [];
        if (isSparse)
        {
            map.AddRange(entry.Data.Select(range => (range.Start, range.End - range.Start)));
            if (entry.Data.Count == 0 || entry.Data[^1].End < entry.Size)
            {
                map.Add((entry.Size, 0));
            }

            Ranges(map, 0, RangesInHeader, 386);
            header[482] = (byte)(map.Count > RangesInHeader ? 1 : 0);
            Number(483, 12, entry.Size);
        }

        Finish();
        for (int from = RangesInHeader; from < map.Count; from += RangesInBlock)
        {
            Array.Clear(header);
            Ranges(map, from, RangesInBlock, 0);
            header[504] = (byte)(from + RangesInBlock < map.Count ? 1 : 0);
            Put(header);
        }
    }

    /// <summary>Writes bytes of a member.</summary>
    public void Write(ReadOnlySpan<byte> bytes) => Put(bytes);

    /// <summary>Ends the data of a member.</summary>
    public void EndData() => Pad(Block);

    /// <summary>Ends the archive.</summary>
    public void Dispose()
    {
        Array.Clear(header);
        Put(header);
        Put(header);
        Pad(RecordSize);
    }

    private void WriteExtended(TarEntry entry)
    {
        using var records = new MemoryStream();
        if (entry.Modified.tv_nsec != 0 && !entry.IsHardLink)
        {
            string time = string.Create(CultureInfo.InvariantCulture, $"{entry.Modified.tv_sec}.{entry.Modified.tv_nsec:d9}");
            Record(records, "mtime", Encoding.ASCII.GetBytes(time));
        }

        foreach ((string name, byte[] value) in entry.Attributes)
        {
            Record(records, "SCHILY.xattr." + name, value);
        }

        if (records.Length > 0)
        {
            Start("./PaxHeaders"u8, 'x', 0x1a4, records.Length);
            Finish();
            Put(records.ToArray());
            Pad(Block);
        }
    }

    // "LENGTH KEY=VALUE\n", where the length counts its own digits too.
    private static void Record(MemoryStream records, string key, byte[] value)
    {
        byte[] text = Encoding.UTF8.GetBytes(key);
        int rest = text.Length + value.Length + 3;
        int length = rest + 1;
        while (length != rest + length.ToString(CultureInfo.InvariantCulture).Length)
        {
            length = rest + length.ToString(CultureInfo.InvariantCulture).Length;
        }

        records.Write(Encoding.ASCII.GetBytes(length.ToString(CultureInfo.InvariantCulture)));
        records.WriteByte((byte)' ');
        records.Write(text);
        records.WriteByte((byte)'=');
        records.Write(value);
        records.WriteByte((byte)'\n');
    }

    private void WriteLong(byte[] name, char type)
    {
        if (name.Length > 100)
        {
            Start("././@LongLink"u8, type, 0x1a4, name.Length + 1);
            Finish();
            Put(name);
            Put([0]);
            Pad(Block);
        }
    }

    private void Start(ReadOnlySpan<byte> name, char type, uint mode, long size)
    {
        Array.Clear(header);
        name[..Math.Min(100, name.Length)].CopyTo(header);
        Number(100, 8, mode);
        Number(108, 8, 0);
        Number(116, 8, 0);
        Number(124, 12, size);
        Number(136, 12, 0);
        header[156] = (byte)type;
        "ustar  \0"u8.CopyTo(header.AsSpan(257));
    }

    private void Finish()
    {
        header.AsSpan(148, 8).Fill((byte)' ');
        int sum = 0;
        foreach (byte value in header)
        {
            sum += value;
        }

        Encoding.ASCII.GetBytes(Convert.ToString(sum, 8).PadLeft(6, '0')).CopyTo(header, 148);
        header[154] = 0;
        Put(header);
    }

    private void Ranges(List<(long Start, long Length)> map, int from, int most, int offset)
    {
        for (int i = 0; i < most && from + i < map.Count; i++)
        {
            Number(offset + (24 * i), 12, map[from + i].Start);
            Number(offset + (24 * i) + 12, 12, map[from + i].Length);
        }
    }

    // Octal digits and a zero; or, where they don't fit, all in bytes, the first with its highest bit set.
    private void Number(int offset, int length, long value)
    {
        Span<byte> field = header.AsSpan(offset, length);
        if (value >= 0 && value < 1L << (3 * (length - 1)))
        {
            Encoding.ASCII.GetBytes(Convert.ToString(value, 8).PadLeft(length - 1, '0')).CopyTo(field);
            return;
        }

        field.Fill(value < 0 ? (byte)0xff : (byte)0);
        BinaryPrimitives.WriteInt64BigEndian(field[^8..], value);
        field[0] |= 0x80;
    }

    private void Put(ReadOnlySpan<byte> bytes)
    {
        stream.Write(bytes);
        written += bytes.Length;
    }

    private void Pad(int unit)
    {
        int rest = (int)(written % unit);
        if (rest > 0)
        {
            Put(new byte[unit - rest]);
        }
    }
}
