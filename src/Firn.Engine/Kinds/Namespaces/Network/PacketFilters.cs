using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Netlink;
using Google.Protobuf;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>What is done with packets in the network namespace that the thread is in: tables of nftables, and of iptables-legacy.</summary>
/// <remarks>
/// Tables of nftables go into the image as the kernel tells them, and come back so, counters and all. Beside them stands the text that the
/// format has, as long as there is the program that writes it (nft(8)): others read that. Tables of iptables-legacy are saved and made
/// again by its own programs alone, as with CRIU (iptables-save(8)). Connections that are tracked are known again, in the format's own
/// images, with what is left of their time; what addresses were changed to is kept, counters are not.
/// </remarks>
internal static class PacketFilters
{
    private const string Remedy =
        "delete it, or let somebody else fill the namespace (--empty-ns net), or keep it (--external net[INODE]:KEY)";

    private static readonly (string List, string Family, ImageKind Kind)[] Legacy =
    [
        ("ip_tables_names", "iptables", ImageKind.Iptables), ("ip6_tables_names", "ip6tables", ImageKind.Ip6tables),
    ];

    private static readonly (ImageKind Kind, bool IsExpected)[] Tracked = [(ImageKind.NetnsCt, false), (ImageKind.NetnsExp, true)];

    // ---- dump

    /// <summary>Adds what can't be saved to the problems.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own)
    {
        foreach (NftablesRuleset.Table table in NftablesRuleset.ReadTables().Where(table => table.IsOwned))
        {
            Refuse("net-nftables", $"table {table.Name} of nftables", "it belongs to a socket, and goes when that is closed", Remedy);
        }

        if (AddressSets.Exist())
        {
            Refuse("net-ipset", "sets of addresses (`ipset`)", "these can't be saved yet", Remedy);
        }

        foreach ((string list, string family, _) in Legacy)
        {
            if (Names(list) is { Length: > 0 } names && HelperProgram.Find($"{family}-legacy-save") is null)
            {
                Refuse(
                    "net-iptables", $"tables of iptables-legacy ({names})", $"there is no program {family}-legacy-save to read them",
                    "install iptables, or delete them");
            }
        }

        if (Names("arp_tables_names") is { Length: > 0 } arp)
        {
            Refuse("net-iptables", $"tables of arptables-legacy ({arp})", "these can't be saved", Remedy);
        }

        void Refuse(string identifier, string resource, string reason, string remedy)
            => context.Problems.Add(identifier, own.Member.Pid, $"network namespace {own.Inode}: {resource}", reason, remedy);
    }

    /// <summary>Writes the images.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own, NetnsEntry entry)
    {
        List<byte[]> messages = NftablesRuleset.Read();
        entry.Nftables.AddRange(messages.Select(message => ByteString.CopyFrom(message)));
        if (messages.Count > 0)
        {
            // Table by table: what locks the network isn't the tree's.
            if (HelperProgram.Find("nft") is { } nft)
            {
                Save(context, ImageKind.Nftables, own.Id, NftablesRuleset.ReadTables().Where(table => !table.IsOwned)
                    .Select(table => (string[])[nft, "list", "table", FamilyName(table.Family), table.Name]));
            }
            else
            {
                context.Log.LogWarning("there is no program nft: only Firn can restore the tables of nftables from these images");
            }
        }

        foreach ((ImageKind kind, bool expected) in Tracked)
        {
            if (TrackedConnections.Read(expected) is { Length: > 0 } tracked)
            {
                string name = kind.FileName(own.Id);
                context.WrittenFiles.Add(name);
                File.WriteAllBytes(Path.Combine(context.Options.ImagesDirectory, name), tracked);
            }
        }

        foreach ((string list, string family, ImageKind kind) in Legacy)
        {
            if (Names(list) is { Length: > 0 })
            {
                Save(context, kind, own.Id, [[HelperProgram.Find($"{family}-legacy-save")!, "-c"]]);
            }
        }
    }

    private static string? Names(string list) => ProcValue.ReadText($"/proc/thread-self/net/{list}")?.Trim().Replace('\n', ' ');

    private static string FamilyName(byte family) => family switch
    {
        NetfilterConstants.NFPROTO_INET => "inet",
        NetfilterConstants.NFPROTO_IPV4 => "ip",
        NetfilterConstants.NFPROTO_ARP => "arp",
        NetfilterConstants.NFPROTO_NETDEV => "netdev",
        NetfilterConstants.NFPROTO_BRIDGE => "bridge",
        _ => "ip6",
    };

    private static void Save(DumpContext context, ImageKind kind, uint id, IEnumerable<string[]> commands)
    {
        string name = kind.FileName(id);
        string path = Path.Combine(context.Options.ImagesDirectory, name);
        context.WrittenFiles.Add(name);
        using FileStream stream = File.Create(path);
        using Fd file = Sys.Open(path, OpenFlags.O_WRONLY | OpenFlags.O_CLOEXEC);
        foreach (string[] command in commands)
        {
            if (!HelperProgram.Run(command, null, file))
            {
                throw new CheckpointException($"{string.Join(' ', command)} failed; what it said says why") { Phase = "dump" };
            }
        }
    }

    // ---- restore

    /// <summary>Makes the tables. Devices are there, since chains may be of one.</summary>
    public static void Restore(RestoreContext context, RestoredNamespace own, NetnsEntry entry)
    {
        string nftables = ImageKind.Nftables.FileName(own.Id);
        if (entry.Nftables.Count > 0)
        {
            try
            {
                NftablesRuleset.Write(entry.Nftables.Select(message => message.ToByteArray())).OrThrow("tables of nftables");
            }
            catch (FormatException exception)
            {
                throw new ImageFormatException(
                    ImageKind.Netns.FileName(own.Id),
                    -1,
                    "nftables",
                    $"holds {exception.Message}; the image is damaged: dump again",
                    exception);
            }
        }
        else
        {
            Load(context, nftables, ["nft"], "-f", "-");
        }

        // Firn's own images have the settings; they hold tables of iptables-legacy alone, and others also those that are nftables beneath.
        bool isOwn = entry.Settings.Count > 0;
        foreach ((ImageKind kind, bool expected) in Tracked)
        {
            if (context.Images.Read(kind.FileName(own.Id)) is { Length: > 0 } messages
                && TrackedConnections.Write(messages, expected) is { Refused: > 0 } lost)
            {
                context.Log.LogWarning(
                    "{Count} tracked connections can't be made known again: {Errno}", lost.Refused, lost.Reason);
            }
        }

        foreach ((_, string family, ImageKind kind) in Legacy)
        {
            Load(context, kind.FileName(own.Id), isOwn ? [$"{family}-legacy-restore"] : [$"{family}-restore"], "-c");
        }
    }

    private static void Load(RestoreContext context, string name, string[] programs, params string[] arguments)
    {
        if (context.Images.Read(name) is not { Length: > 0 } text || IsWithoutRules(text))
        {
            return;
        }

        string program = HelperProgram.Find(programs)
            ?? throw new CheckpointException($"{name} holds rules, and there is no program {programs[0]} to load them; install it")
            {
                Phase = "namespaces",
            };
        using Fd file = Sys.Open(Path.Combine(context.Options.ImagesDirectory, name), OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        if (!HelperProgram.Run([program, .. arguments], file, null))
        {
            throw new CheckpointException($"{program} can't load {name}; what it said says why") { Phase = "namespaces" };
        }
    }

    // CRIU writes also what says nothing: chains of iptables that accept all.
    private static bool IsWithoutRules(ReadOnlySpan<byte> text)
        => text.IndexOf("*"u8) >= 0
            && text.IndexOf("-A "u8) < 0
            && text.IndexOf(" DROP "u8) < 0
            && text.IndexOf("table "u8) < 0
            && text.IndexOf(" - "u8) < 0;
}
