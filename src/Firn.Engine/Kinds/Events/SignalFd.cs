using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Events;

/// <summary>signalfd: signals that are read through a descriptor. The signals themselves wait in the tasks.</summary>
/// <remarks>Kernel: fs/signalfd.c, signalfd4(2), proc_pid_fdinfo(5).</remarks>
internal sealed class SignalFd : FileKind
{
    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Signalfd;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[signalfd]");

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
        => entry.Sgfd = new SignalfdEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags,
            Fown = FileOwner.Dump(context, file),
            Sigmask = file.Info.SignalMask
                ?? throw new CheckpointException(
                    $"pid {file.Owner.Pid} fd {file.Number}: fdinfo of a signalfd without its mask")
                { Pid = file.Owner.Pid },
        };

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        var fd = new Fd(Sys.SignalFd(-1, entry.Sgfd.Sigmask, SignalFdFlags.SFD_CLOEXEC).OrThrow($"signalfd4 of file {entry.Id}").Int32);
        FileOwner.RestoreFlags(fd, entry.Sgfd.Flags);
        return fd;
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Sgfd.Fown, fd, fd.ToString());
}
