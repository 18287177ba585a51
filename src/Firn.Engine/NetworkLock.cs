namespace Firn.Engine;

/// <summary>Whether the network is locked while connections are saved or made again (`--network-lock`).</summary>
public enum NetworkLock
{
    /// <summary>By nftables, whatever the user calls it: CRIU's `iptables` is a program that uses the same.</summary>
    Nftables,

    /// <summary>Not at all: nothing comes in meanwhile, or somebody else sees to it.</summary>
    Skip,
}
