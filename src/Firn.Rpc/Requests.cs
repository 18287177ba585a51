using Firn.Rpc.Messages;

namespace Firn.Rpc;

/// <summary>What has to be in a request.</summary>
internal static class Requests
{
    /// <summary>Whether a request has all required fields: the C# parser takes it without.</summary>
    public static bool IsWhole(Request request)
        => request.HasType
            && (request.Opts is not { } opts
                || (opts.HasImagesDirFd
                    && opts.Veths.All(pair => pair.HasIfIn && pair.HasIfOut)
                    && opts.ExtMnt.All(map => map.HasKey && map.HasVal)
                    && opts.JoinNs.All(join => join.HasNs && join.HasNsFile)
                    && opts.InheritFd.All(inherited => inherited.HasKey && inherited.HasFd)
                    && opts.CgRoot.All(root => root.HasPath)
                    && opts.UnixSkIno.All(socket => socket.HasInode)));

    /// <summary>Whether more requests may follow one of this type on the same socket.</summary>
    public static bool MayKeepOpen(RequestType type) => type
        is RequestType.PageServer
        or RequestType.PageServerChld
        or RequestType.CpuinfoDump
        or RequestType.CpuinfoCheck
        or RequestType.FeatureCheck
        or RequestType.Version;
}
