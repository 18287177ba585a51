using Firn.Linux.Abi;

namespace Firn.Linux;

public static partial class Sys
{
    /// <summary>setresuid(2) of the calling thread alone; -1 leaves an id as it is.</summary>
    public static SysResult SetResUid(nint real, nint effective, nint saved) => Kernel.Call(Sysno.setresuid, real, effective, saved);

    /// <summary>setresgid(2) of the calling thread alone; -1 leaves an id as it is.</summary>
    public static SysResult SetResGid(nint real, nint effective, nint saved) => Kernel.Call(Sysno.setresgid, real, effective, saved);

    /// <summary>unshare(2) of the calling thread.</summary>
    public static SysResult Unshare(CloneFlags flags) => Kernel.Call(Sysno.unshare, (nint)flags);

    /// <summary>setfsuid(2) of the calling thread; gives the id before.</summary>
    public static SysResult SetFsUid(uint uid) => Kernel.Call(Sysno.setfsuid, (nint)uid);

    /// <summary>setfsgid(2) of the calling thread; gives the id before.</summary>
    public static SysResult SetFsGid(uint gid) => Kernel.Call(Sysno.setfsgid, (nint)gid);
}
