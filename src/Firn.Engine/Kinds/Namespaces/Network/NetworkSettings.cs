using System.Globalization;
using Firn.Engine.Kinds.Tasks;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Google.Protobuf.Collections;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>Settings below /proc/sys/net, of the network namespace that the thread is in: of each device, and of all.</summary>
internal static class NetworkSettings
{
    private const string Top = "/proc/sys/net/";
    private const string Redirects = "accept_redirects";
    private const string StableSecret = "stable_secret";

    /// <summary>Whether addresses are probed before they are used; off while addresses are restored, which were probed once.</summary>
    private const string Probing = "accept_dad";

    // The order is that of CRIU's images, in which a setting has no name.
    private static readonly string[] OfDevice4 =
    [
        "accept_local", Redirects, "accept_source_route", "arp_accept", "arp_announce", "arp_filter", "arp_ignore", "arp_notify",
        "bootp_relay", "disable_policy", "disable_xfrm", "force_igmp_version", "forwarding", "igmpv2_unsolicited_report_interval",
        "igmpv3_unsolicited_report_interval", "log_martians", "medium_id", "promote_secondaries", "proxy_arp", "proxy_arp_pvlan",
        "route_localnet", "rp_filter", "secure_redirects", "send_redirects", "shared_media", "src_valid_mark", "tag",
        "ignore_routes_with_linkdown", "drop_gratuitous_arp", "drop_unicast_in_l2_multicast",
    ];

    private static readonly string[] OfDevice6 =
    [
        Probing, "accept_ra", "accept_ra_defrtr", "accept_ra_from_local", "accept_ra_min_hop_limit", "accept_ra_mtu", "accept_ra_pinfo",
        "accept_ra_rt_info_max_plen", "accept_ra_rtr_pref", Redirects, "accept_source_route", "autoconf", "dad_transmits", "disable_ipv6",
        "drop_unicast_in_l2_multicast", "drop_unsolicited_na", "force_mld_version", "force_tllao", "forwarding", "hop_limit",
        "ignore_routes_with_linkdown", "keep_addr_on_down", "max_addresses", "max_desync_factor", "mldv1_unsolicited_report_interval",
        "mldv2_unsolicited_report_interval", "mtu", "ndisc_notify", "optimistic_dad", "proxy_ndp", "regen_max_retry",
        "router_probe_interval", "router_solicitation_delay", "router_solicitation_interval", "router_solicitations", StableSecret,
        "suppress_frag_ndisc", "temp_prefered_lft", "temp_valid_lft", "use_oif_addrs_only", "use_optimistic", "use_tempaddr",
    ];

    private static readonly string[] OfUnix = ["unix/max_dgram_qlen"];

    private static readonly string[] Directories = ["core", "ipv4", "ipv6", "unix"];

    /// <summary>Reads the settings of the namespace as a whole, and those that new devices get.</summary>
    public static void Read(NetnsEntry entry)
    {
        ReadDevice("ipv4", "default", OfDevice4, entry.DefConf4);
        ReadDevice("ipv4", "all", OfDevice4, entry.AllConf4);
        ReadDevice("ipv6", "default", OfDevice6, entry.DefConf6);
        ReadDevice("ipv6", "all", OfDevice6, entry.AllConf6);
        entry.UnixConf.AddRange(OfUnix.Select(name => Entry(name, Top + name)));
        foreach (string directory in Directories.Where(name => Directory.Exists(Top + name)))
        {
            foreach (string path in Directory.GetFiles(Top + directory).Order(StringComparer.Ordinal))
            {
                if (ProcValue.ReadText(path) is { } value)
                {
                    entry.Settings.Add(new NamedSetting { Name = path[Top.Length..], Value = value });
                }
            }
        }
    }

    /// <summary>Reads those of a device.</summary>
    public static void Read(NetDeviceEntry entry)
    {
        ReadDevice("ipv4", entry.Name, OfDevice4, entry.Conf4);
        ReadDevice("ipv6", entry.Name, OfDevice6, entry.Conf6);
    }

    /// <summary>Writes those of the namespace, before it has devices. Nothing is probed from now on.</summary>
    public static void Write(ILogger log, NetnsEntry entry)
    {
        // Each of `all` may change what `default` and devices have.
        WriteDevice(log, "ipv4", "all", OfDevice4, entry.AllConf4);
        WriteDevice(log, "ipv6", "all", OfDevice6, entry.AllConf6, Probing);
        WriteDevice(log, "ipv4", "default", OfDevice4, entry.DefConf4);
        WriteDevice(log, "ipv6", "default", OfDevice6, entry.DefConf6, Probing);
        for (int i = 0; i < Math.Min(OfUnix.Length, entry.UnixConf.Count); i++)
        {
            Write(log, Top + OfUnix[i], Text(entry.UnixConf[i]));
        }

        foreach (NamedSetting setting in entry.Settings)
        {
            if (!setting.Name.Contains("..", StringComparison.Ordinal))
            {
                Write(log, Top + setting.Name, setting.Value);
            }
        }

        SetProbing(log, "all", "0");
        SetProbing(log, "default", "0");
    }

    /// <summary>Writes those of a device, which does not probe yet.</summary>
    public static void Write(ILogger log, NetDeviceEntry entry)
    {
        WriteDevice(log, "ipv4", entry.Name, OfDevice4, entry.Conf4);
        WriteDevice(log, "ipv6", entry.Name, OfDevice6, entry.Conf6, Probing);
        SetProbing(log, entry.Name, "0");
    }

    /// <summary>All addresses are there: from now on, new ones are probed as they were.</summary>
    public static void WriteProbing(ILogger log, NetnsEntry entry, IEnumerable<NetDeviceEntry> devices)
    {
        SetProbing(log, "all", Value(entry.AllConf6));
        SetProbing(log, "default", Value(entry.DefConf6));
        foreach (NetDeviceEntry device in devices)
        {
            SetProbing(log, device.Name, Value(device.Conf6));
        }

        static string? Value(RepeatedField<SysctlEntry> entries)
            => Array.IndexOf(OfDevice6, Probing) is var index && index < entries.Count ? Text(entries[index]) : "1";
    }

    private static void SetProbing(ILogger log, string device, string? value) => Write(log, $"{Top}ipv6/conf/{device}/{Probing}", value);

    private static void ReadDevice(string family, string device, string[] names, RepeatedField<SysctlEntry> entries)
        => entries.AddRange(names.Select(name => Entry(name, $"{Top}{family}/conf/{device}/{name}")));

    // A setting that this kernel has not is an entry without a value.
    private static SysctlEntry Entry(string name, string path)
    {
        var entry = new SysctlEntry { Type = name == StableSecret ? SysctlType.CtlStr : SysctlType.Ctl32 };
        if (ProcValue.ReadText(path) is not { } text)
        {
            return entry;
        }

        if (entry.Type == SysctlType.CtlStr)
        {
            entry.Sarg = text;
        }
        else if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
        {
            entry.Iarg = unchecked((int)number);
        }

        return entry;
    }

    private static void WriteDevice(
        ILogger log, string family, string device, string[] names, RepeatedField<SysctlEntry> entries, string? except = null)
    {
        // forwarding changes accept_redirects.
        foreach (bool isLast in (ReadOnlySpan<bool>)[false, true])
        {
            for (int i = 0; i < Math.Min(names.Length, entries.Count); i++)
            {
                if (names[i] != except && (names[i] == Redirects) == isLast)
                {
                    Write(log, $"{Top}{family}/conf/{device}/{names[i]}", Text(entries[i]));
                }
            }
        }
    }

    private static string? Text(SysctlEntry entry)
        => entry.HasSarg ? entry.Sarg : entry.HasIarg ? entry.Iarg.ToString(CultureInfo.InvariantCulture) : null;

    // Each that differs: what is as it was may be what the kernel doesn't allow to write.
    private static void Write(ILogger log, string path, string? value)
    {
        if (value is null || ProcValue.ReadText(path) is not { } present || present == value)
        {
            return;
        }

        SysResult written = ProcValue.Write(path, value);
        if (written.IsError)
        {
            log.LogWarning("{Path} could not be set to {Value}: {Errno}", path, value, written.Errno);
        }
    }
}
