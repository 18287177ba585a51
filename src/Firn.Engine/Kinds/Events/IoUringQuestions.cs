using System.Buffers.Binary;
using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>What io_uring_register(2) says of a ring, asked by calls that can't succeed.</summary>
/// <remarks>
/// Kernel: io_uring/register.c and where it leads to. A ring is asked for what is there before the argument is read; so an argument that
/// is nowhere (EFAULT) tells that nothing is. A ring with restrictions refuses whatever it was not told to allow.
/// </remarks>
internal static class IoUringQuestions
{
    private const int Groups = 1 << 16;

    // struct io_uring_buf_status: the group first.
    private const int StatusBytes = 40;

    private static readonly (IoUringRegister Operation, uint Count)[] Simple =
    [
        (IoUringRegister.IORING_REGISTER_EVENTFD, 1),
        (IoUringRegister.IORING_REGISTER_MEM_REGION, 1),
        (IoUringRegister.IORING_REGISTER_NAPI, 1),
        (IoUringRegister.IORING_REGISTER_RESTRICTIONS, 1),
        (IoUringRegister.IORING_REGISTER_IOWQ_AFF, 0),
        (IoUringRegister.IORING_UNREGISTER_IOWQ_AFF, 1),
    ];

    /// <summary>Who asks.</summary>
    public interface IAsker
    {
        /// <summary>Asks with an argument that is nowhere.</summary>
        IReadOnlyList<SysResult> Ask(IReadOnlyList<(IoUringRegister Operation, uint Count)> questions);

        /// <summary>Asks for groups of provided buffers.</summary>
        /// <returns>The first answer that is not ENOENT, with its group; or null.</returns>
        (int Group, SysResult Answer)? FindGroup();
    }

    /// <summary>Firn asks, of a ring that answers all.</summary>
    public static IAsker ByFirn(Fd ring) => new FirnAsks(ring);

    /// <summary>The thread asks that may submit to it.</summary>
    public static IAsker ByThread(DumpedThread thread, int ring) => new ThreadAsks(thread, ring);

    /// <summary>What stands in the way of saving a ring, or null.</summary>
    public static IoUringFile.Objection? Object(IAsker asker)
    {
        IReadOnlyList<SysResult> answers = asker.Ask(Simple);
        if (answers.Any(answer => answer.Errno == Errno.EACCES))
        {
            return IoUringFile.Objection.Registered("it has restrictions, which can't be read (IORING_REGISTER_RESTRICTIONS)");
        }

        if (answers[0].Errno == Errno.EBUSY)
        {
            return IoUringFile.Objection.Registered("an eventfd is registered with it, and can't be told which (IORING_REGISTER_EVENTFD)");
        }

        if (answers[1].Errno == Errno.EBUSY)
        {
            return IoUringFile.Objection.Registered("memory for arguments of waits is registered with it (IORING_REGISTER_MEM_REGION)");
        }

        if (answers[2].Errno == Errno.EINVAL)
        {
            return IoUringFile.Objection.Unsaveable("it polls devices for completions (IORING_SETUP_IOPOLL)");
        }

        if (asker.FindGroup() is not { } found)
        {
            return null;
        }

        // EINVAL: buffers that were provided by requests; or a kernel before 6.8, which doesn't know the question.
        return IoUringFile.Objection.Registered(
            found.Answer.Errno is Errno.None or Errno.EINVAL
                ? $"buffers are provided to it, as group {found.Group}, or the kernel doesn't tell (Linux 6.8 does)"
                : $"it can't be told whether buffers are provided to it as group {found.Group}: the kernel says {found.Answer.Errno}");
    }

    private sealed class FirnAsks(Fd ring) : IAsker
    {
        public IReadOnlyList<SysResult> Ask(IReadOnlyList<(IoUringRegister Operation, uint Count)> questions)
            => [.. questions.Select(question => Sys.IoUringRegisterNowhere(ring.Number, question.Operation, question.Count))];

        public (int Group, SysResult Answer)? FindGroup()
        {
            Span<byte> status = stackalloc byte[StatusBytes];
            for (int group = 0; group < Groups; group++)
            {
                status.Clear();
                BinaryPrimitives.WriteInt32LittleEndian(status, group);
                SysResult answer = Sys.IoUringRegister(ring.Number, IoUringRegister.IORING_REGISTER_PBUF_STATUS, status, 1);
                if (answer.Errno != Errno.ENOENT)
                {
                    return (group, answer);
                }
            }

            return null;
        }
    }

    private sealed class ThreadAsks(DumpedThread thread, int ring) : IAsker
    {
        private const string Purpose = "ask an io_uring";

        public IReadOnlyList<SysResult> Ask(IReadOnlyList<(IoUringRegister Operation, uint Count)> questions)
        {
            RemoteBatch batch = thread.Remote!.Batch;
            List<Slot> slots =
                [.. questions.Select(question => batch.Try(Sysno.io_uring_register, ring, (int)question.Operation, 1, question.Count))];
            batch.Run(Purpose);
            return [.. slots.Select(slot => slot.Result)];
        }

        public (int Group, SysResult Answer)? FindGroup()
        {
            RemoteBatch batch = thread.Remote!.Batch;
            List<(int Group, Slot Answer)> asked = [];
            for (int group = 0; group < Groups; group++)
            {
                RemoteBuffer status = batch.Allocate(StatusBytes);
                status.As<int>()[0] = group;
                asked.Add((group, batch.Try(
                    Sysno.io_uring_register, ring, (int)IoUringRegister.IORING_REGISTER_PBUF_STATUS, status, 1)));
                if (!batch.HasRoom(1, StatusBytes) || group == Groups - 1)
                {
                    batch.Run(Purpose);
                    (int Group, Slot Answer) found = asked.Find(one => one.Answer.Result.Errno != Errno.ENOENT);
                    if (found.Answer is not null)
                    {
                        return (found.Group, found.Answer.Result);
                    }

                    asked.Clear();
                }
            }

            return null;
        }
    }
}
