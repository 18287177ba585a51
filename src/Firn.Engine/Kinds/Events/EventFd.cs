using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Events;

/// <summary>eventfd: a counter that is waited for through a descriptor.</summary>
/// <remarks>
/// Kernel: fs/eventfd.c, eventfd2(2), proc_pid_fdinfo(5). CRIU's message has no member for EFD_SEMAPHORE; its value, 1, goes into the
/// flags, where the access mode O_RDWR leaves that bit free and F_SETFL passes it over.
/// </remarks>
internal sealed class EventFd : FileKind
{
    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Eventfd;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[eventfd]");

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
        => entry.Efd = new EventfdFileEntry
        {
            Id = file.Id,
            Flags = (uint)file.Flags | (file.Info.EventSemaphore ? (uint)EventFdFlags.EFD_SEMAPHORE : 0),
            Fown = FileOwner.Dump(context, file),
            Counter = file.Info.EventCount
                ?? throw new CheckpointException(
                    $"pid {file.Owner.Pid} fd {file.Number}: fdinfo of an eventfd without its count")
                { Pid = file.Owner.Pid },
        };

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
    {
        EventfdFileEntry message = entry.Efd;
        bool isSemaphore = ((OpenFlags)message.Flags & OpenFlags.O_ACCMODE) == OpenFlags.O_ACCMODE;
        EventFdFlags flags = EventFdFlags.EFD_CLOEXEC | EventFdFlags.EFD_NONBLOCK | (isSemaphore ? EventFdFlags.EFD_SEMAPHORE : 0);
        var fd = new Fd(Sys.EventFd(0, flags).OrThrow($"eventfd2(0, {flags})").Int32);

        // The call itself takes 32 bits only; a write is added to the counter, and must not block.
        if (message.Counter != 0)
        {
            Sys.Write(fd.Number, BitConverter.GetBytes(message.Counter)).OrThrow($"write({message.Counter}) to eventfd {entry.Id}");
        }

        FileOwner.RestoreFlags(fd, message.Flags);
        return fd;
    }

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, FileEntry entry, Fd fd) => FileOwner.Arm(context, entry.Efd.Fown, fd, fd.ToString());
}
