using Firn.Engine.Tree;
using Firn.Linux.Netlink;

namespace Firn.Engine.Kinds.Namespaces.Network;

/// <summary>What a network namespace may have besides its devices that isn't saved, and so is refused.</summary>
internal static class NetworkRefusals
{
    private const string Remedy =
        "delete it, or let somebody else fill the namespace (--empty-ns net), or keep it (--external net[INODE]:KEY)";

    /// <summary>Adds it to the problems. The thread is in the namespace.</summary>
    public static void Examine(DumpContext context, DumpedNamespace own, RouteNetlink network)
    {
        if (network.HasQueueing())
        {
            Refuse("net-qdisc", "a queueing discipline (`tc qdisc`)", "these can't be saved yet");
        }

        PacketFilters.Examine(context, own);

        void Refuse(string identifier, string resource, string reason)
            => context.Problems.Add(identifier, own.Member.Pid, $"network namespace {own.Inode}: {resource}", reason, Remedy);
    }
}
