using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Events;

/// <summary>Files and buffers that are registered with a ring.</summary>
/// <remarks>
/// Kernel: io_uring/rsrc.c, filetable.c. fdinfo tells a file by its link alone, which is enough for a socket; a file with a path is taken
/// for the one description of the tree that has the same. Not to be found out: tags, and the range for direct descriptors.
/// </remarks>
internal static class IoUringRegistered
{
    // As many as a batch has room for; the kernel would take twice as many buffers.
    private const int MostPlaces = 8192;

    // ---- dump

    /// <summary>What of it can't be saved, or null.</summary>
    public static IoUringFile.Objection? Object(DumpContext context, OpenFile file, IoUringInfo ring)
    {
        if (ring.PollsDevices)
        {
            return IoUringFile.Objection.Registered("it polls network devices (IORING_REGISTER_NAPI)");
        }

        if (ring.HasPersonalities)
        {
            return IoUringFile.Objection.Registered("credentials are registered with it (IORING_REGISTER_PERSONALITY)");
        }

        if (Math.Max(ring.Files, ring.Buffers) > MostPlaces)
        {
            return IoUringFile.Objection.Registered(
                $"it has {ring.Files} places for files and {ring.Buffers} for buffers, which is too many");
        }

        foreach (IoUringFileSlot slot in ring.FileSlots)
        {
            if (Find(context, slot) is null)
            {
                return IoUringFile.Objection.Registered(
                    $"file {slot.Index} that is registered with it, {slot.Link}, is not known by that: no descriptor of the tree leads to "
                        + "it alone",
                    "let the program keep the file open under a descriptor");
            }
        }

        return null;
    }

    /// <summary>Saves them.</summary>
    /// <returns>What stands in the way, or null.</returns>
    public static IoUringFile.Objection? Dump(
        DumpContext context, OpenFile file, IoUringInfo ring, DumpedTask owner, IoUringEntry message)
    {
        if (ring.Files > 0)
        {
            message.FilePlaces = (uint)ring.Files;
            message.Files.AddRange(ring.FileSlots.Select(
                slot => new IoUringRegisteredFile { Index = (uint)slot.Index, Id = Find(context, slot)!.Id }));
        }

        if (ring.Buffers == 0)
        {
            return null;
        }

        message.BufferPlaces = (uint)ring.Buffers;
        message.BufferOwner = (uint)owner.MemoryOwner.InnerPid;
        foreach (IoUringBufferSlot slot in ring.BufferSlots)
        {
            if (slot.Address == 0 || !IsMapped(owner.MemoryOwner, slot))
            {
                return IoUringFile.Objection.Registered(
                    $"buffer {slot.Index} that is registered with it is no memory of pid {owner.Pid} any more",
                    "let the program register its buffers anew");
            }

            message.Buffers.Add(new IoUringBuffer { Index = (uint)slot.Index, Address = slot.Address, Length = slot.Length });
        }

        return null;
    }

    private static OpenFile? Find(DumpContext context, IoUringFileSlot slot)
    {
        bool isPath = slot.Link.StartsWith('/') && !slot.Link.StartsWith("/proc/", StringComparison.Ordinal);
        if (!isPath && !slot.Link.StartsWith("socket:[", StringComparison.Ordinal))
        {
            return null;
        }

        List<OpenFile> found = [.. context.Files.Files.Where(one => one.Holders.Count > 0 && one.Link == slot.Link).Take(2)];
        return found.Count == 1 ? found[0] : null;
    }

    private static bool IsMapped(DumpedTask task, IoUringBufferSlot slot)
    {
        ulong reached = slot.Address;
        foreach (Mapping mapping in task.Mappings)
        {
            if (mapping.Start <= reached && mapping.End > reached && (mapping.Protection & ProtectionFlags.PROT_WRITE) != 0)
            {
                reached = mapping.End;
            }
        }

        return reached >= slot.Address + slot.Length;
    }

    // ---- restore

    /// <summary>Registers them again, at the same places.</summary>
    /// <param name="context">The restore.</param>
    /// <param name="message">The ring.</param>
    /// <param name="number">Its descriptor, the same in all processes for now.</param>
    /// <param name="maker">The process that has made it.</param>
    public static void Restore(RestoreContext context, IoUringEntry message, int number, RestoredTask maker)
    {
        const string Purpose = "register what belongs to an io_uring";
        if (message.FilePlaces > 0)
        {
            int[] files = new int[Places(message.FilePlaces)];
            Array.Fill(files, -1);
            foreach (IoUringRegisteredFile file in message.Files)
            {
                At(files, file.Index) = context.Files[file.Id].Number;
            }

            RemoteBatch batch = maker.Leader.Remote.Batch;
            batch.MakeRoom(1, files.Length * sizeof(int), Purpose);
            RemoteBuffer list = batch.Data(System.Runtime.InteropServices.MemoryMarshal.AsBytes<int>(files));
            batch.Call(Sysno.io_uring_register, number, (int)IoUringRegister.IORING_REGISTER_FILES, list, files.Length);
            batch.Run(Purpose);
        }

        if (message.BufferPlaces > 0)
        {
            var vectors = new Iovec[Places(message.BufferPlaces)];
            foreach (IoUringBuffer buffer in message.Buffers)
            {
                At(vectors, buffer.Index) = new Iovec { iov_base = (nint)buffer.Address, iov_len = (nint)buffer.Length };
            }

            RestoredTask owner = context.Tasks.Find(task => task.Pid == (int)message.BufferOwner) ?? maker;
            RemoteBatch batch = owner.Leader.Remote.Batch;
            ReadOnlySpan<byte> bytes = System.Runtime.InteropServices.MemoryMarshal.AsBytes<Iovec>(vectors);
            batch.MakeRoom(1, bytes.Length, Purpose);
            batch.Call(
                Sysno.io_uring_register, number, (int)IoUringRegister.IORING_REGISTER_BUFFERS, batch.Data(bytes), vectors.Length);
            batch.Run(Purpose);
        }
    }

    private static int Places(uint count) => count <= MostPlaces ? (int)count : throw Damaged($"{count} places");

    private static ref T At<T>(T[] places, uint index)
    {
        if (index >= places.Length)
        {
            throw Damaged($"place {index} of {places.Length}");
        }

        return ref places[index];
    }

    private static ImageFormatException Damaged(string what)
        => IoUringFile.Damaged($"it has {what} for what is registered with it");
}
