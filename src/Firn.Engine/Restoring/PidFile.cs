using System.Globalization;
using System.Text;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Restoring;

/// <summary>The file that tells others the root's pid (`--pidfile`): the number alone, as CRIU writes it.</summary>
internal static class PidFile
{
    /// <summary>Writes it, while no task of the tree runs yet: whoever reads it finds a tree, and a failure leaves neither.</summary>
    /// <exception cref="CheckpointException">It can't be written.</exception>
    public static void Write(RestoreContext context)
    {
        if (context.Options.PidFile is not { } path)
        {
            return;
        }

        const OpenFlags Flags = OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_TRUNC | OpenFlags.O_CLOEXEC;
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, path, Flags, 0x180);
        if (opened.IsError)
        {
            throw Unwritable(path, opened.Errno);
        }

        using var fd = new Fd(opened.Int32);
        context.Undo.Push(() => Sys.UnlinkAt(At.AT_FDCWD, path));
        SysResult written = Sys.Write(fd.Number, Encoding.ASCII.GetBytes(context.Tasks[0].OuterPid.ToString(CultureInfo.InvariantCulture)));
        if (written.IsError)
        {
            throw Unwritable(path, written.Errno);
        }
    }

    private static CheckpointException Unwritable(string path, Errno errno)
        => new($"the pid file {path} can't be written: {errno} ({ErrnoText.Describe(errno)}); name another with --pidfile")
        {
            Phase = "resume",
            Errno = errno,
        };
}
