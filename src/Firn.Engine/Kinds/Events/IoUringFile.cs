using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Procfs;

namespace Firn.Engine.Kinds.Events;

/// <summary>io_uring: refused, with what stands in the way of this very ring.</summary>
/// <remarks>
/// Kernel: io_uring/fdinfo.c. Of a ring at rest all is shown but how it was set up: whether a batch ends at its first error
/// (IORING_SETUP_SUBMIT_ALL), how completions are run, its personalities, its event descriptor. Made anew without knowing, it might act
/// otherwise than before.
/// </remarks>
internal sealed class IoUringFile : FileKind
{
    private const string UseEpoll = "let the program use epoll instead, as UV_USE_IO_URING=0 does for libuv";

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Und;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => file.IsAnonymousInode("[io_uring]");

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        (string identifier, string reason, string remedy) = Describe(file.Info.IoUring ?? new IoUringInfo());
        context.Problems.Add(identifier, file.Owner.Pid, $"fd {file.Number}: io_uring", reason, remedy);
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
        => throw new InvalidOperationException($"pid {file.Owner.Pid} fd {file.Number} was refused, and is dumped all the same");

    private static (string Identifier, string Reason, string Remedy) Describe(IoUringInfo ring)
    {
        if (ring.Thread >= 0)
        {
            return (
                "io-uring-thread",
                $"thread {ring.Thread} of the kernel takes its requests (IORING_SETUP_SQPOLL), and doesn't stop with the program",
                "let the program set it up without that thread; " + UseEpoll);
        }

        // A request may give no completion, or many: so the difference is at least what is said, or nothing.
        uint underWay = Math.Max(ring.Taken - ring.Completed, (uint)ring.ArmedPolls);
        if (ring.ArmedPolls > 0 || ring.Taken != ring.Completed)
        {
            return (
                "io-uring-busy",
                underWay is > 0 and < int.MaxValue
                    ? $"{underWay} of its requests are under way, and can't be read"
                    : "requests are under way in it, and can't be read",
                "dump while it is at rest, which most programs never are; " + UseEpoll);
        }

        if (ring.Files > 0 || ring.Buffers > 0)
        {
            return (
                "io-uring-registered",
                $"{ring.Files} files and {ring.Buffers} buffers are registered with it",
                UseEpoll);
        }

        return (
            "io-uring",
            "it is at rest, but the kernel doesn't show how it was set up (IORING_SETUP_SUBMIT_ALL and others): made anew, it might act "
                + "otherwise",
            UseEpoll);
    }

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
        => throw new ImageFormatException("files.img", 0, "file-type", $"file {entry.Id} has no type");
}
