using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>What threads have to do with rings: which of them one alone may submit to, and which it has registered.</summary>
/// <remarks>
/// Kernel: io_uring/register.c, tctx.c. A ring with IORING_SETUP_SINGLE_ISSUER answers EEXIST to all threads but its own. Descriptors that
/// are registered (IORING_REGISTER_RING_FDS) belong to the thread.
/// </remarks>
internal sealed class IoUringThreads
{
    // IO_RINGFD_REG_MAX.
    private const int Places = 16;
    private const string Purpose = "ask threads for their io_urings";

    private readonly HashSet<DumpedTask> asked = [];
    private readonly Dictionary<OpenFile, (DumpedThread Thread, int Number)> submitters = [];
    private readonly Dictionary<DumpedTask, DumpedThread> registrars = [];

    /// <summary>What stands in the way of saving a ring, or null.</summary>
    public IoUringFile.Objection? Object(DumpContext context, OpenFile file)
    {
        foreach (DumpedTask task in file.Holders.Select(holder => holder.Task))
        {
            Ask(context, task);
            if (registrars.TryGetValue(task, out DumpedThread? thread))
            {
                return IoUringFile.Objection.Registered(
                    $"thread {thread.Tid} has registered the descriptor of a ring (IORING_REGISTER_RING_FDS)",
                    "let the program do without io_uring_register_ring_fd()");
            }
        }

        return null;
    }

    /// <summary>The only thread that may submit to a ring, and its descriptor there; null where none has answered.</summary>
    public (DumpedThread Thread, int Number)? SubmitterOf(OpenFile file)
        => submitters.TryGetValue(file, out (DumpedThread, int) found) ? found : null;

    private void Ask(DumpContext context, DumpedTask task)
    {
        if (!asked.Add(task))
        {
            return;
        }

        List<Descriptor> rings = [.. context.Files.DescriptorsOf(task).Where(row => row.File.Kind is IoUringFile)];
        foreach (DumpedThread thread in task.Threads)
        {
            RemoteBatch batch = thread.Remote!.Batch;
            List<Slot> places = [];
            for (int place = 0; place < Places; place++)
            {
                batch.MakeRoom(1, 0, Purpose);
                places.Add(batch.Try(Sysno.io_uring_enter, place, 0, 0, IoUringConstants.IORING_ENTER_REGISTERED_RING, 0, 0));
            }

            List<(Descriptor Ring, Slot Answer)> answers = [];
            foreach (Descriptor ring in rings)
            {
                batch.MakeRoom(1, 0, Purpose);
                answers.Add((ring, batch.Try(
                    Sysno.io_uring_register, ring.Number, (int)IoUringRegister.IORING_REGISTER_EVENTFD, 1, 1)));
            }

            batch.Run(Purpose);
            if (places.Exists(place => place.Result.Errno is not (Errno.EBADF or Errno.EINVAL)))
            {
                registrars.TryAdd(task, thread);
            }

            foreach ((Descriptor ring, Slot answer) in answers.Where(row => row.Answer.Result.Errno != Errno.EEXIST))
            {
                submitters.TryAdd(ring.File, (thread, ring.Number));
            }
        }
    }
}
