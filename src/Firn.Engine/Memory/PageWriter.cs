using System.Runtime.ExceptionServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Memory;

/// <summary>Writes the pages of one process to its pages file: the process does it itself, by pwritev(2).</summary>
/// <remarks>
/// One copy, and all processes of a tree at once. What the process can't write Firn reads through /proc/PID/mem, which does not break the
/// sharing of pages as process_vm_readv(2) does: memory that it may not read, and what its RLIMIT_FSIZE does not allow (a write behind
/// that limit is a SIGXFSZ, not just an error). Where its memory cgroup is limited, the page cache must not be charged to that: on a tmpfs
/// Firn makes the pages of the file first; elsewhere the process writes past the page cache.
/// </remarks>
internal sealed class PageWriter(DumpContext context, TaskPages pages) : IDisposable
{
    private const int MaxVectors = 1024;
    private const ulong MaxCall = 1UL << 30;
    private const int RLIMIT_FSIZE = 1;
    private const int CopyChunk = 1 << 20;

    private readonly List<Piece> remote = [];
    private readonly List<Piece> local = [];
    private readonly List<(int First, int Count, ulong Length, Slot Slot)> calls = [];
    private readonly Remote worker = pages.Task.Leader.Remote!;
    private FdPorter? porter;
    private IReadOnlyList<RemoteArgument> received = [];
    private RemoteBuffer sizeLimit;
    private int next;
    private bool isOpen;
    private Fd? direct;

    private readonly record struct Piece(ulong Address, ulong Length, ulong Offset);

    /// <summary>Writes the pages of all.</summary>
    /// <param name="writers">One for each process.</param>
    /// <param name="meanwhile">Work of Firn's own, done while the processes write.</param>
    /// <exception cref="CheckpointException">A file can't be written.</exception>
    public static void Run(IReadOnlyList<PageWriter> writers, Action meanwhile)
    {
        try
        {
            Begin(writers);
            bool first = true;
            List<PageWriter> busy = [.. writers.Where(writer => writer.Queue())];
            while (busy.Count > 0 || first)
            {
                foreach ((_, Exception failure) in RunSideBySide(busy, "write pages", first ? meanwhile : null))
                {
                    ExceptionDispatchInfo.Throw(failure);
                }

                first = false;
                foreach (PageWriter writer in busy)
                {
                    writer.Check();
                }

                busy.RemoveAll(static writer => !writer.Queue());
            }

            foreach (PageWriter writer in writers)
            {
                writer.WriteLocally();
            }
        }
        finally
        {
            foreach (PageWriter writer in writers)
            {
                writer.Dispose();
            }
        }
    }

    // Starts all batches, does Firn's own work, and waits for every one of them, whatever fails.
    private static List<(PageWriter Writer, Exception Failure)> RunSideBySide(
        IReadOnlyList<PageWriter> writers, string purpose, Action? meanwhile)
    {
        var started = new List<PageWriter>();
        var failures = new List<(PageWriter, Exception)>();
        try
        {
            foreach (PageWriter writer in writers)
            {
                writer.worker.Batch.Start(purpose);
                started.Add(writer);
            }

            meanwhile?.Invoke();
        }
        finally
        {
            foreach (PageWriter writer in started)
            {
                try
                {
                    writer.worker.Batch.Finish();
                }
                catch (Exception exception) when (exception is RemoteCallException or TraceeLostException)
                {
                    failures.Add((writer, exception));
                }
            }
        }

        return failures;
    }

    // Asks each process what only it can tell, and opens the way for descriptors.
    private static void Begin(IReadOnlyList<PageWriter> writers)
    {
        foreach (PageWriter writer in writers)
        {
            writer.MakeFile();
            writer.QueueQuestions();
        }

        foreach ((PageWriter writer, Exception failure) in RunSideBySide(writers, "prepare to write pages", null))
        {
            // No descriptor is free in the process: Firn writes its pages.
            if (failure is not RemoteCallException { Errno: Errno.EMFILE or Errno.ENFILE })
            {
                ExceptionDispatchInfo.Throw(failure);
            }

            writer.isOpen = false;
        }

        var limit = new MemoryLimit();
        foreach (PageWriter writer in writers)
        {
            writer.Divide(writer.isOpen && (!limit.Concerns(writer.Task.Pid) || writer.AvoidCharge()));
        }
    }

    // False when there is no way: Firn writes then.
    private bool AvoidCharge()
    {
        if (IsOnTmpfs())
        {
            long size = pages.Written().Sum(run => (long)run.Length);
            if (size > 0)
            {
                pages.File.Check(Sys.Fallocate(pages.File.Number, 0, 0, size), 0);
            }

            return true;
        }

        direct = pages.File.OpenDirect();
        return direct is not null;
    }

    private void MakeFile() => pages.File.Make();

    private void QueueQuestions()
    {
        RemoteBatch batch = worker.Batch;
        sizeLimit = batch.Allocate(16);
        batch.Call(Sysno.prlimit64, 0, RLIMIT_FSIZE, 0, sizeLimit);
        porter = new FdPorter(worker, Task.PidFd);
        porter.QueueOpen();
        isOpen = true;
    }

    private DumpedTask Task => pages.Task;

    private bool IsOnTmpfs()
    {
        Sys.FstatFs(pages.File.Number, out StatFs fileSystem).OrThrow($"fstatfs({pages.File.Path})");
        return fileSystem.f_type == FileSystemMagic.TMPFS_MAGIC;
    }

    // Says who writes what. Offsets run through all present pages in order.
    private void Divide(bool mayWrite)
    {
        ulong limit = sizeLimit.As<ulong>()[0];
        ulong offset = 0;
        int vma = 0;
        foreach (AddressRange run in pages.Written())
        {
            // A run may go through several mappings of which some are not readable.
            ulong address = run.Start;
            while (address < run.End)
            {
                while (Task.Mm.Vmas[vma].End <= address)
                {
                    vma++;
                }

                ulong end = Math.Min(run.End, Task.Mm.Vmas[vma].End);
                var piece = new Piece(address, end - address, offset);
                bool isReadable = (Task.Mm.Vmas[vma].Protection() & ProtectionFlags.PROT_READ) != 0;

                // Pages of the kernel's own can't be written past the page cache: EIO on a virtio disk.
                bool isKernels = direct is not null && Task.Mm.Vmas[vma].Is(VmaStatus.Vdso);
                (mayWrite && isReadable && !isKernels && offset + piece.Length <= limit ? remote : local).Add(piece);
                offset += piece.Length;
                address = end;
            }
        }

        if (remote.Count > 0)
        {
            porter!.Send([direct?.Number ?? pages.File.Number]);
        }
    }

    // Queues as many writes as the batch has room for, and the closing behind the last. False when there is nothing left to do.
    private bool Queue()
    {
        calls.Clear();
        if (!isOpen)
        {
            return false;
        }

        RemoteBatch batch = worker.Batch;
        if (next == 0 && remote.Count > 0)
        {
            received = porter!.QueueReceive();
        }

        while (next < remote.Count && batch.HasRoom(8, (MaxVectors * 16) + 64))
        {
            QueueCall(batch);
        }

        if (next >= remote.Count)
        {
            porter!.QueueClose();
            isOpen = false;
        }

        return true;
    }

    private void QueueCall(RemoteBatch batch)
    {
        int first = next;
        ulong length = 0;
        while (next < remote.Count && next - first < MaxVectors
            && remote[next].Offset == remote[first].Offset + length && length + remote[next].Length <= MaxCall)
        {
            length += remote[next].Length;
            next++;
        }

        if (next == first)
        {
            // One piece larger than a call may be: split it.
            Piece large = remote[first];
            remote[first] = large with { Length = MaxCall };
            remote.Insert(first + 1, new Piece(large.Address + MaxCall, large.Length - MaxCall, large.Offset + MaxCall));
            QueueCall(batch);
            return;
        }

        RemoteBuffer vectors = batch.Allocate((next - first) * 16);
        Span<ulong> words = vectors.As<ulong>();
        for (int i = first; i < next; i++)
        {
            words[2 * (i - first)] = remote[i].Address;
            words[(2 * (i - first)) + 1] = remote[i].Length;
        }

        Slot slot = batch.Try(Sysno.pwritev, received[0], vectors, next - first, remote[first].Offset, 0);
        calls.Add((first, next - first, length, slot));
    }

    // A write that was cut short, or could not read a page, is Firn's to finish; a full file system is the end.
    private void Check()
    {
        foreach ((int first, int count, ulong length, Slot slot) in calls)
        {
            SysResult result = slot.Result;
            if (result.IsError
                && !(direct is not null && result.Errno is (Errno.EINVAL or Errno.EIO))
                && result.Errno is not (Errno.EBADF or Errno.EFAULT or Errno.EFBIG or Errno.EINTR or Errno.EPERM or Errno.EACCES))
            {
                throw pages.File.Failure(result.Errno);
            }

            ulong done = result.IsError ? 0 : (ulong)result.Int64;
            for (int i = first; i < first + count && done < length; i++)
            {
                Piece piece = remote[i];
                ulong before = piece.Offset - remote[first].Offset;
                ulong skip = done > before ? Math.Min(done - before, piece.Length) : 0;
                if (skip < piece.Length)
                {
                    local.Add(new Piece(piece.Address + skip, piece.Length - skip, piece.Offset + skip));
                }
            }
        }
    }

    private void WriteLocally()
    {
        if (local.Count == 0)
        {
            return;
        }

        string path = $"/proc/{Task.Pid}/mem";
        using Fd memory = Sys.Open(path, OpenFlags.O_RDONLY);
        byte[] buffer = new byte[CopyChunk];
        foreach (Piece piece in local)
        {
            for (ulong done = 0; done < piece.Length;)
            {
                Span<byte> chunk = buffer.AsSpan(0, (int)Math.Min(CopyChunk, piece.Length - done));
                int read = Sys.Pread(
                    memory.Number, chunk, (long)(piece.Address + done)).OrThrow($"pread({path}, 0x{piece.Address + done:x})").Int32;
                pages.File.Write(chunk[..read], (long)(piece.Offset + done));
                if (read == 0)
                {
                    throw new CheckpointException($"{path}: ends at 0x{piece.Address + done:x}") { Phase = "dump", Pid = Task.Pid };
                }

                done += (ulong)read;
            }
        }

        context.Log.LogDebug("pid {Pid}: Firn wrote {Count} ranges itself", Task.Pid, local.Count);
    }

    /// <summary>Closes Firn's end of the way for descriptors, and, after a failure, what is left of it in the process.</summary>
    public void Dispose()
    {
        if (isOpen && porter is not null)
        {
            isOpen = false;
            worker.Batch.Clear();
            try
            {
                porter.QueueClose();
                worker.Batch.Run("close after a failure");
            }
            catch (Exception exception) when (exception is RemoteCallException or TraceeLostException)
            {
                context.Log.LogWarning("pid {Pid}: a descriptor of Firn's may be left: {Message}", Task.Pid, exception.Message);
            }
        }

        porter?.Dispose();
        direct?.Dispose();
    }
}
