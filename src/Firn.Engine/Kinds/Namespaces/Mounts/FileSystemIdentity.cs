using Firn.Linux;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Lets the calling thread be somebody else to file systems for a moment: setfsuid(2), setfsgid(2).</summary>
internal readonly ref struct FileSystemIdentity
{
    private readonly bool isForeign;

    private FileSystemIdentity(bool isForeign) => this.isForeign = isForeign;

    /// <summary>Takes ids; those of root are Firn's own anyway.</summary>
    public static FileSystemIdentity Take(uint uid, uint gid)
    {
        if (uid == 0 && gid == 0)
        {
            return default;
        }

        Sys.SetFsGid(gid);
        Sys.SetFsUid(uid);
        return new FileSystemIdentity(true);
    }

    /// <summary>Is itself again.</summary>
    public void Dispose()
    {
        if (isForeign)
        {
            Sys.SetFsUid(0);
            Sys.SetFsGid(0);
        }
    }
}
