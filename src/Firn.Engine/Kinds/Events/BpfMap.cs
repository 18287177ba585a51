using System.Globalization;
using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Events;

/// <summary>
/// BPF maps: hashes, with and without forgetting, arrays, both also with a value for each CPU, and tries of prefixes; with what they
/// hold, frozen or not.
/// </summary>
/// <remarks>
/// Kernel: kernel/bpf/syscall.c, bpf(2). A map that several descriptors lead to is one map again. What else holds a map, a program or a
/// name in a file system, goes on with the old one. Firn reads and writes through a descriptor of its own where the program's allows one
/// way alone. What a map says of its types (BTF) is lost, with a warning: the kernel doesn't give it back. Queues and stacks show their
/// first entry alone, and the others only to who takes it away; a map of maps needs the others, which no descriptor leads to.
/// </remarks>
internal sealed class BpfMap : FileKind
{
    private const uint FirstCount = 1024;
    private const uint MostEntries = 1 << 26;
    private const int MostBytes = 1 << 30;

    private static readonly uint[] Saved =
    [
        BpfConstants.BPF_MAP_TYPE_HASH, BpfConstants.BPF_MAP_TYPE_ARRAY, BpfConstants.BPF_MAP_TYPE_LRU_HASH,
        BpfConstants.BPF_MAP_TYPE_LPM_TRIE, BpfConstants.BPF_MAP_TYPE_PERCPU_HASH, BpfConstants.BPF_MAP_TYPE_PERCPU_ARRAY,
        BpfConstants.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    ];

    private static readonly uint[] PerCpu =
    [
        BpfConstants.BPF_MAP_TYPE_PERCPU_HASH, BpfConstants.BPF_MAP_TYPE_PERCPU_ARRAY, BpfConstants.BPF_MAP_TYPE_LRU_PERCPU_HASH,
    ];

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Bpfmap;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("bpf-map");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        BpfMapInfo info = InfoOf(file);
        if (!Saved.Contains(info.type))
        {
            Refuse(info.type switch
            {
                BpfConstants.BPF_MAP_TYPE_PROG_ARRAY => "it holds programs, which can't be saved",
                BpfConstants.BPF_MAP_TYPE_ARRAY_OF_MAPS or BpfConstants.BPF_MAP_TYPE_HASH_OF_MAPS
                    => "it holds other maps, which no descriptor leads to",
                BpfConstants.BPF_MAP_TYPE_QUEUE or BpfConstants.BPF_MAP_TYPE_STACK
                    => "it is a queue or a stack, of which only the first entry can be read without taking it away",
                BpfConstants.BPF_MAP_TYPE_RINGBUF => "it is a ring that a program writes to, and the program can't be saved",
                _ => $"it is of the type {info.type}, whose content can't be read whole",
            });
        }
        else if (info.ifindex != 0)
        {
            Refuse("it lies on a network device");
        }
        else if (info.max_entries > MostEntries || (info.key_size + ValueRoom(info.type, info.value_size)) * info.max_entries > MostBytes)
        {
            Refuse($"it may hold more than {MostBytes >> 20} MiB");
        }

        FileOwner.Examine(context, file);

        void Refuse(string reason) => context.Problems.Add(
            "bpf-map",
            file.Owner.Pid,
            $"fd {file.Number}: BPF map {info.id}",
            reason,
            "pin it, close it, and open it again after the restore");
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        BpfMapInfo info = InfoOf(file);
        string text = Sys.ReadText(string.Create(CultureInfo.InvariantCulture, $"/proc/{file.HolderPid}/fdinfo/{file.Number}"));
        entry.Bpf = new BpfmapFileEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags,
            Pos = (ulong)file.Info.Position,
            Fown = FileOwner.Dump(context, file),
            MapType = info.type,
            KeySize = info.key_size,
            ValueSize = info.value_size,
            MapId = info.id,
            MaxEntries = info.max_entries,
            MapFlags = info.map_flags,
            Memlock = Field(text, "memlock:"),
            Frozen = Field(text, "frozen:") != 0,
            MapName = Encoding.UTF8.GetString(((ReadOnlySpan<byte>)info.name).TrimEnd((byte)0)),
            Ifindex = info.ifindex,
            MapExtra = info.map_extra,
        };
        if (info.btf_id != 0)
        {
            context.Log.LogWarning("pid {Pid} fd {Fd}: a BPF map loses what it says of its types", file.Owner.Pid, file.Number);
        }

        if (context.Files.State.Get<Maps>().Ids.Add(info.id))
        {
            using Fd both = new(Sys.BpfMapOpen(info.id, 0).OrThrow($"bpf(BPF_MAP_GET_FD_BY_ID, {info.id})").Int32);
            (byte[] keys, byte[] values, uint count) = ReadAll(both, info);
            var data = new BpfmapDataEntry
            {
                MapId = info.id,
                KeysBytes = (uint)keys.Length,
                ValuesBytes = (uint)values.Length,
                Count = count,
            };
            context.Images.Add(ImageKind.BpfmapData, 0, data, (byte[])[.. keys, .. values]);
        }
    }

    private static BpfMapInfo InfoOf(OpenFile file)
    {
        Sys.BpfMapGetInfo(file.Taken.Number, out BpfMapInfo info)
            .OrThrow($"bpf(BPF_OBJ_GET_INFO_BY_FD) of pid {file.Owner.Pid} fd {file.Number}");
        return info;
    }

    // What a call gives of one entry: of a map by CPU a value for each CPU that the machine may have, in whole words (bpf(2)).
    private static long ValueRoom(uint type, uint size) => PerCpu.Contains(type) ? ((size + 7L) & ~7L) * PossibleCpus() : size;

    // Like 0-3, or 0-1,4-7: the last number counts.
    private static int PossibleCpus()
    {
        string text = Sys.ReadText("/sys/devices/system/cpu/possible").Trim();
        return int.Parse(text[(text.LastIndexOfAny([',', '-']) + 1)..], CultureInfo.InvariantCulture) + 1;
    }

    private static ulong Field(string text, string name)
        => text.Split('\n').FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is { } line
            && ulong.TryParse(line[name.Length..].Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ulong value)
                ? value
                : 0;

    // The entries of one bucket of a hash come together: more room, if they don't fit.
    private static (byte[] Keys, byte[] Values, uint Count) ReadAll(Fd map, BpfMapInfo info)
    {
        List<byte> keys = [];
        List<byte> values = [];
        byte[] before = [];
        byte[] after = new byte[Math.Max(info.key_size, sizeof(uint))];
        uint total = 0;
        int valueRoom = (int)ValueRoom(info.type, info.value_size);
        for (uint room = Math.Min(FirstCount, info.max_entries); ;)
        {
            byte[] someKeys = new byte[room * info.key_size];
            byte[] someValues = new byte[room * valueRoom];
            uint count = room;
            SysResult result = Sys.BpfMapLookup(map.Number, before, after, someKeys, someValues, ref count);
            if (result.Errno == Errno.ENOSPC)
            {
                room *= 2;
                continue;
            }

            if (result.Errno is not Errno.ENOENT)
            {
                result.OrThrow($"bpf(BPF_MAP_LOOKUP_BATCH) of map {info.id}");
            }

            keys.AddRange(someKeys.AsSpan(0, (int)(count * info.key_size)));
            values.AddRange(someValues.AsSpan(0, (int)(count * valueRoom)));
            total += count;
            if (result.IsError || count == 0)
            {
                return ([.. keys], [.. values], total);
            }

            before = [.. after];
        }
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        BpfmapFileEntry message = entry.Bpf;
        Maps maps = context.Files.State.Get<Maps>();
        if (!maps.Made.TryGetValue(message.MapId, out uint id))
        {
            Fd made = Make(context, entry);
            Sys.BpfMapGetInfo(made.Number, out BpfMapInfo info).OrThrow($"bpf(BPF_OBJ_GET_INFO_BY_FD) of file {entry.Id}");
            maps.Made.Add(message.MapId, id = info.id);
            maps.Held.Add(made);
        }

        uint access = ((OpenFlags)message.Flags & OpenFlags.O_ACCMODE) switch
        {
            OpenFlags.O_RDONLY => BpfConstants.BPF_F_RDONLY,
            OpenFlags.O_WRONLY => BpfConstants.BPF_F_WRONLY,
            _ => 0,
        };
        var fd = new Fd(Sys.BpfMapOpen(id, access).OrThrow($"bpf(BPF_MAP_GET_FD_BY_ID, {id}) of file {entry.Id}").Int32);
        FileOwner.RestoreFlags(fd, message.Flags);
        return fd;
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Bpf.Fown, fd, fd.ToString());

    private static Fd Make(RestoreContext context, FileEntry entry)
    {
        BpfmapFileEntry message = entry.Bpf;
        var attributes = new BpfMapAttributes
        {
            map_type = message.MapType,
            key_size = message.KeySize,
            value_size = message.ValueSize,
            max_entries = message.MaxEntries,
            map_flags = message.MapFlags,
            map_ifindex = message.Ifindex,
            map_extra = message.MapExtra,
        };
        byte[] name = Encoding.UTF8.GetBytes(message.MapName);
        name.AsSpan(0, Math.Min(name.Length, 15)).CopyTo(attributes.map_name);
        var made = new Fd(Sys.BpfMapCreate(attributes).OrThrow($"bpf(BPF_MAP_CREATE, type {message.MapType}) of file {entry.Id}").Int32);
        Sys.BpfMapGetInfo(made.Number, out BpfMapInfo info).OrThrow($"bpf(BPF_OBJ_GET_INFO_BY_FD) of file {entry.Id}");
        using Fd both = new(Sys.BpfMapOpen(info.id, 0).OrThrow($"bpf(BPF_MAP_GET_FD_BY_ID, {info.id})").Int32);
        foreach (ImageEntry saved in context.Images.Entries(ImageKind.BpfmapData))
        {
            if (saved.Message is BpfmapDataEntry data && data.MapId == message.MapId && data.Count > 0)
            {
                Fill(both, message, data, saved.Payload.Span);
            }
        }

        if (message.Frozen)
        {
            Sys.BpfMapFreeze(both.Number).OrThrow($"bpf(BPF_MAP_FREEZE) of file {entry.Id}");
        }

        return made;
    }

    private static void Fill(Fd map, BpfmapFileEntry message, BpfmapDataEntry data, ReadOnlySpan<byte> bytes)
    {
        ulong valueRoom = (ulong)ValueRoom(message.MapType, message.ValueSize);
        ulong room = PerCpu.Contains(message.MapType) ? Math.Max(1, (message.ValueSize + 7UL) & ~7UL) : valueRoom;
        if (data.KeysBytes != (ulong)data.Count * message.KeySize
            || (room == valueRoom ? data.ValuesBytes != data.Count * valueRoom : data.ValuesBytes % (data.Count * room) != 0)
            || (ulong)bytes.Length != (ulong)data.KeysBytes + data.ValuesBytes)
        {
            throw new ImageFormatException(
                ImageKind.BpfmapData.FileName(),
                -1,
                "bpf-map-content",
                $"has not what it says of map {data.MapId}; the image is damaged: dump again");
        }

        if (data.ValuesBytes != data.Count * valueRoom)
        {
            throw new CheckpointException(
                $"BPF map {data.MapId} has a value for each of {data.ValuesBytes / (data.Count * room)} CPUs, and this machine may have "
                    + $"{PossibleCpus()}: restore where their number is the same");
        }

        ReadOnlySpan<byte> keys = bytes[..(int)data.KeysBytes];
        Sys.BpfMapUpdate(map.Number, keys, bytes[keys.Length..], data.Count)
            .OrThrow($"bpf(BPF_MAP_UPDATE_BATCH, {data.Count} entries) of map {data.MapId}");
    }

    private sealed class Maps : IDisposable
    {
        /// <summary>Those whose content is saved already.</summary>
        public HashSet<uint> Ids { get; } = [];

        /// <summary>What was made of each, by the id that it had.</summary>
        public Dictionary<uint, uint> Made { get; } = [];

        public List<Fd> Held { get; } = [];

        public void Dispose() => Held.ForEach(fd => fd.Dispose());
    }
}
