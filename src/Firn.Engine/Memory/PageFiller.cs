using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Memory;

/// <summary>Reads pages from pages files into a process, by its own preadv(2).</summary>
internal sealed class PageFiller(RemoteBatch batch, string purpose)
{
    private const int MaxVectors = 1024;
    private const ulong MaxCall = 1UL << 30;

    /// <summary>How many pages were queued.</summary>
    public long Pages { get; private set; }

    /// <summary>Queues the reading of runs; the batch runs whenever it is full.</summary>
    /// <param name="runs">The runs, by ascending address: what follows in the file too comes with one call.</param>
    public void Queue(IReadOnlyList<SourceRun> runs)
    {
        var pieces = new List<SourceRun>(runs.Count);
        foreach (SourceRun run in runs)
        {
            for (ulong start = run.Start; start < run.End; start += MaxCall)
            {
                pieces.Add(run.Clip(start, Math.Min(run.End, start + MaxCall)));
            }
        }

        int next = 0;
        while (next < pieces.Count)
        {
            int first = next;
            ulong length = 0;
            while (next < pieces.Count && next - first < MaxVectors
                && pieces[next].File == pieces[first].File
                && pieces[next].Offset == pieces[first].Offset + (long)length
                && (next == first || length + (pieces[next].End - pieces[next].Start) <= MaxCall))
            {
                length += pieces[next].End - pieces[next].Start;
                next++;
            }

            QueueCall(pieces, first, next, length);
        }
    }

    private void QueueCall(List<SourceRun> pieces, int first, int end, ulong length)
    {
        batch.MakeRoom(1, 16 * (end - first), purpose);
        RemoteBuffer vectors = batch.Allocate(16 * (end - first));
        Span<ulong> words = vectors.As<ulong>();
        for (int i = first; i < end; i++)
        {
            words[2 * (i - first)] = pieces[i].Start;
            words[(2 * (i - first)) + 1] = pieces[i].End - pieces[i].Start;
        }

        PagesSource file = pieces[first].File;
        long offset = pieces[first].Offset;
        ulong address = pieces[first].Start;
        Slot slot = batch.Call(Sysno.preadv, file.Descriptor!.Number, vectors, end - first, offset, 0);
        batch.Then(() => Check(slot, file, offset, address, length));
        Pages += (long)(length / Kernel.PageSize);
    }

    private static void Check(Slot slot, PagesSource file, long offset, ulong address, ulong length)
    {
        if ((ulong)slot.Result.Int64 != length)
        {
            throw new ImageFormatException(
                file.Path,
                offset,
                ImageDiagnostic.Truncated,
                $"{slot.Result.Int64} of {length} bytes could be read to 0x{address:x}: the file was cut, or the mapped file is shorter "
                    + "than it was");
        }
    }
}
