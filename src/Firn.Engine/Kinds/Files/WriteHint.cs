using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Files;

/// <summary>How long what is written to a file is expected to live: a hint to the disk, which belongs to the inode in memory.</summary>
/// <remarks>F_SET_RW_HINT of fcntl(2). 0: not set.</remarks>
internal static class WriteHint
{
    // ---- dump

    /// <summary>The hint of a regular file that is open; 0 if it has none.</summary>
    public static ulong Read(OpenFile file)
    {
        ulong hint = 0;
        return file is { IsDescriptor: true, IsPathOnly: false, FileType: InodeMode.S_IFREG }
            && !Sys.Fcntl(file.Taken.Number, FcntlCommand.F_GET_RW_HINT, ref hint).IsError ? hint : 0;
    }

    // ---- restore

    /// <summary>Gives it again, where the inode does not have it still.</summary>
    public static void Restore(RestoreContext context, RegFileEntry file, Fd fd)
    {
        ulong now = 0;
        if (!file.HasWriteHint
            || (!Sys.Fcntl(fd.Number, FcntlCommand.F_GET_RW_HINT, ref now).IsError && now == file.WriteHint))
        {
            return;
        }

        ulong hint = file.WriteHint;
        if (Sys.Fcntl(fd.Number, FcntlCommand.F_SET_RW_HINT, ref hint) is { IsError: true } failed)
        {
            context.Log.LogWarning("file {Name}: its write hint can't be set again: {Error}", file.Name, ErrnoText.Describe(failed.Errno));
        }
    }
}
