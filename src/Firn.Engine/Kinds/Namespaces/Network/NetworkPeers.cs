using Firn.Images;
using Firn.Linux;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>The network namespaces of a tree that are filled together: a pair of devices may have an end in each of two.</summary>
internal sealed class NetworkPeers
{
    /// <summary>Each namespace, and the devices that it is to have, by its id.</summary>
    public Dictionary<uint, (Fd Namespace, List<NetDeviceEntry> Devices)> ById { get; } = [];

    /// <summary>The devices that exist: namespace, index.</summary>
    public HashSet<(uint Namespace, uint Index)> Made { get; } = [];
}
