using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Tree;

/// <summary>Lets the calling thread act under other ids for a moment: the kernel keeps the maker's ids in many objects.</summary>
/// <remarks>
/// The bare system calls change one thread only (credentials(7)). The saved ids stay 0, so the way back is open; effective capabilities
/// are gone meanwhile, so nothing but the call in question belongs between.
/// </remarks>
internal readonly ref struct BorrowedIdentity
{
    private const nint Keep = -1;

    private readonly bool isForeign;

    private BorrowedIdentity(bool isForeign) => this.isForeign = isForeign;

    /// <summary>Takes real and effective user, and maybe effective group.</summary>
    /// <exception cref="LinuxException">The thread has no right to.</exception>
    public static BorrowedIdentity Of(uint uid, uint euid, uint egid = 0)
    {
        if (uid == 0 && euid == 0 && egid == 0)
        {
            return default;
        }

        Sys.SetResGid(Keep, (nint)egid, Keep).OrThrow($"setresgid(-1, {egid}, -1)");
        SysResult result = Sys.SetResUid((nint)uid, (nint)euid, Keep);
        if (result.IsError)
        {
            Sys.SetResGid(Keep, 0, Keep).OrThrow("setresgid(-1, 0, -1)");
            result.OrThrow($"setresuid({uid}, {euid}, -1)");
        }

        return new BorrowedIdentity(true);
    }

    /// <summary>Takes the effective ids that the first task with a file will have.</summary>
    /// <exception cref="LinuxException">The thread has no right to.</exception>
    public static BorrowedIdentity OfHolder(RestoreContext context, uint fileId)
    {
        RestoredTask? holder = context.Files.State.Get<Holders>().Find(context, fileId);
        return holder?.Core.ThreadCore?.Creds is not { } credentials ? default
            : context.Images.Ids is { } ids ? Of(0, ids.OuterUser(credentials.Euid), ids.OuterGroup(credentials.Egid))
            : Of(0, credentials.Euid, credentials.Egid);
    }

    /// <summary>Gives the ids back.</summary>
    public void Dispose()
    {
        if (isForeign)
        {
            Sys.SetResUid(0, 0, Keep).OrThrow("setresuid(0, 0, -1)");
            Sys.SetResGid(Keep, 0, Keep).OrThrow("setresgid(-1, 0, -1)");
        }
    }

    /// <summary>The first task with each file.</summary>
    private sealed class Holders
    {
        private Dictionary<uint, RestoredTask>? byFile;

        public RestoredTask? Find(RestoreContext context, uint fileId)
        {
            if (byFile is null)
            {
                byFile = [];
                foreach (RestoredTask task in context.Tasks)
                {
                    foreach (FdinfoEntry descriptor in task.Descriptors)
                    {
                        byFile.TryAdd(descriptor.Id, task);
                    }
                }
            }

            return byFile.GetValueOrDefault(fileId);
        }
    }
}
