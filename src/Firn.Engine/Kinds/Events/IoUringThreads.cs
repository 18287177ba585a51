using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>What threads have to do with rings: which of them one alone may submit to, and which it has registered.</summary>
/// <remarks>
/// Kernel: io_uring/register.c, tctx.c. A ring with IORING_SETUP_SINGLE_ISSUER answers EEXIST to all threads but its own. Descriptors that
/// are registered (IORING_REGISTER_RING_FDS) belong to the thread; which ring it is shows when it gets, for that moment, a place for a
/// buffer: one batch, which runs to its end also if Firn is killed.
/// </remarks>
internal sealed class IoUringThreads
{
    // IO_RINGFD_REG_MAX.
    private const int Places = 16;
    private const string Purpose = "ask threads for their io_urings";

    private readonly HashSet<DumpedTask> asked = [];
    private readonly Dictionary<OpenFile, (DumpedThread Thread, int Number)> submitters = [];
    private readonly List<(OpenFile Ring, DumpedThread Thread, int Place)> places = [];
    private readonly Dictionary<DumpedTask, DumpedThread> unknown = [];

    // ---- dump

    /// <summary>Asks all threads that have a ring.</summary>
    /// <returns>What stands in the way of saving it, or null.</returns>
    public IoUringFile.Objection? Ask(DumpContext context, OpenFile file)
    {
        foreach (DumpedTask task in file.Holders.Select(holder => holder.Task))
        {
            Ask(context, task);
            if (unknown.TryGetValue(task, out DumpedThread? thread))
            {
                return IoUringFile.Objection.Registered(
                    $"thread {thread.Tid} has registered the descriptor of a ring, and can't be told which (IORING_REGISTER_RING_FDS)",
                    "let the program do without io_uring_register_ring_fd()");
            }
        }

        return null;
    }

    /// <summary>The only thread that may submit to a ring, and its descriptor there; null where none has answered.</summary>
    public (DumpedThread Thread, int Number)? SubmitterOf(OpenFile file)
        => submitters.TryGetValue(file, out (DumpedThread, int) found) ? found : null;

    /// <summary>Where threads have registered a ring.</summary>
    public IEnumerable<IoUringPlace> PlacesOf(OpenFile file)
        => places.Where(row => row.Ring == file)
            .Select(row => new IoUringPlace { Thread = (uint)row.Thread.InnerTid, Place = (uint)row.Place });

    private void Ask(DumpContext context, DumpedTask task)
    {
        if (!asked.Add(task))
        {
            return;
        }

        List<Descriptor> rings =
            [.. context.Files.DescriptorsOf(task).Where(row => row.File.Kind is IoUringFile).DistinctBy(row => row.File)];
        foreach (DumpedThread thread in task.Threads)
        {
            RemoteBatch batch = thread.Remote!.Batch;
            List<Slot> found = [];
            for (int place = 0; place < Places; place++)
            {
                batch.MakeRoom(1, 0, Purpose);
                found.Add(batch.Try(Sysno.io_uring_enter, place, 0, 0, IoUringConstants.IORING_ENTER_REGISTERED_RING, 0, 0));
            }

            List<(Descriptor Ring, Slot Answer)> answers = [];
            foreach (Descriptor ring in rings)
            {
                batch.MakeRoom(1, 0, Purpose);
                answers.Add((ring, batch.Try(
                    Sysno.io_uring_register, ring.Number, (int)IoUringRegister.IORING_REGISTER_EVENTFD, 1, 1)));
            }

            batch.Run(Purpose);
            List<Descriptor> others = [.. answers.Where(row => row.Answer.Result.Errno == Errno.EEXIST).Select(row => row.Ring)];
            foreach (Descriptor ring in rings.Except(others))
            {
                submitters.TryAdd(ring.File, (thread, ring.Number));
            }

            for (int place = 0; place < Places; place++)
            {
                if (found[place].Result.Errno is Errno.EBADF or Errno.EINVAL)
                {
                    continue;
                }

                if (Find(thread, place, rings, others) is { } ring)
                {
                    places.Add((ring, thread, place));
                }
                else
                {
                    unknown.TryAdd(task, thread);
                }
            }
        }
    }

    private static OpenFile? Find(DumpedThread thread, int place, List<Descriptor> rings, List<Descriptor> others)
    {
        RemoteBatch batch = thread.Remote!.Batch;
        List<(Descriptor Ring, Slot Answer)> answers = [];

        // Few enough that all is one batch: what is registered is taken back by the same.
        if (!batch.HasRoom(rings.Count + 2, 16))
        {
            return null;
        }

        batch.Call(Sysno.io_uring_register, place, Registered(IoUringRegister.IORING_REGISTER_BUFFERS), batch.Data(default(Iovec)), 1);
        foreach (Descriptor ring in rings)
        {
            answers.Add((ring, batch.Try(
                Sysno.io_uring_register, ring.Number, (int)IoUringRegister.IORING_REGISTER_BUFFERS, 1, 1)));
        }

        batch.Call(Sysno.io_uring_register, place, Registered(IoUringRegister.IORING_UNREGISTER_BUFFERS), 0, 0);
        List<Descriptor> likely;
        try
        {
            batch.Run(Purpose);
            likely = [.. answers.Where(row => row.Answer.Result.Errno == Errno.EBUSY && row.Ring.File.Info.IoUring!.Buffers == 0)
                .Select(row => row.Ring)];
        }
        catch (RemoteCallException refused)
        {
            // Nothing was registered: it has buffers already, or is of another thread.
            likely = refused.Errno switch
            {
                Errno.EBUSY => [.. rings.Where(row => row.File.Info.IoUring!.Buffers > 0)],
                Errno.EEXIST => others,
                _ => [],
            };
        }

        return likely.Count == 1 ? likely[0].File : null;

        static uint Registered(IoUringRegister operation)
            => (uint)(operation | IoUringRegister.IORING_REGISTER_USE_REGISTERED_RING);
    }

    // ---- restore

    /// <summary>Queues that a thread registers a ring where it had.</summary>
    public static void Restore(IoUringEntry message, RestoredThread thread, uint number)
    {
        foreach (IoUringPlace place in message.Places.Where(place => place.Thread == (uint)thread.Tid))
        {
            // struct io_uring_rsrc_update: the place, and the descriptor.
            RemoteBatch batch = thread.Remote.Batch;
            batch.MakeRoom(1, 16, Purpose);
            RemoteBuffer update = batch.Allocate(16);
            update.As<uint>()[0] = place.Place;
            update.As<ulong>()[1] = number;
            batch.Call(Sysno.io_uring_register, number, (int)IoUringRegister.IORING_REGISTER_RING_FDS, update, 1);
        }
    }
}
