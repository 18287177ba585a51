using System.Buffers.Binary;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>A word on which the threads of a process wait.</summary>
/// <param name="Scratch">The memfd in which it lies.</param>
/// <param name="Offset">Where it lies there.</param>
public readonly record struct HoldWord(int Scratch, int Offset)
{
    /// <summary>Says that the threads may go on, and wakes them: from any process that has the memfd.</summary>
    /// <exception cref="LinuxException">The word can't be mapped.</exception>
    public static Action Releaser(int scratch, int offset)
    {
        int page = offset & -Kernel.PageSize;
        MappedMemory memory = MappedMemory.Map(
            scratch, page, Kernel.PageSize, ProtectionFlags.PROT_READ | ProtectionFlags.PROT_WRITE, MapFlags.MAP_SHARED);
        return () =>
        {
            BinaryPrimitives.WriteUInt32LittleEndian(memory.Slice(offset - page, sizeof(uint)), 0);
            _ = Sys.FutexWake(memory.Address + offset - page);
            memory.Dispose();
        };
    }
}

/// <summary>Threads that stand still by themselves: each waits within a call of its own until a word says that it may go on.</summary>
/// <remarks>
/// Stopped by ptrace alone, they would run on in the instant in which Firn is killed. So held, they still wait then, for whoever is to
/// finish what Firn had begun; and go home after that, or when a time is over. futex(2).
/// </remarks>
public sealed class HeldThreads : IDisposable
{
    private const int FUTEX_WAIT = 0;
    private const uint Held = 1;
    private const long MostSeconds = 10;

    private readonly List<(RemoteBuffer Word, List<RemoteBatch> Batches)> groups = [];
    private readonly List<HoldWord> words = [];
    private bool isHolding;

    /// <summary>Sets a word aside for each process. Nothing is held yet.</summary>
    /// <param name="processes">The processes, all threads stopped and their batches empty.</param>
    public HeldThreads(IEnumerable<RemoteProcess> processes)
    {
        foreach (RemoteProcess process in processes)
        {
            RemoteBuffer word = process.Threads[0].Batch.Data(Held);
            groups.Add((word, [.. process.Threads.Select(thread => thread.Batch)]));
            words.Add(new HoldWord(process.Scratch.Descriptor.Number, word.Offset));
        }
    }

    /// <summary>The words.</summary>
    public IReadOnlyList<HoldWord> Words => words;

    /// <summary>Lets all threads wait for their words.</summary>
    public void Hold()
    {
        isHolding = true;
        foreach ((RemoteBuffer word, List<RemoteBatch> batches) in groups)
        {
            foreach (RemoteBatch batch in batches)
            {
                // What it answers, woken, too late or in vain, is all the same.
                batch.Try(Sysno.futex, word, FUTEX_WAIT, Held, batch.Data(new Timespec { tv_sec = MostSeconds }));
                batch.Start("hold");
            }
        }
    }

    /// <summary>All threads are stopped again when this returns.</summary>
    /// <exception cref="TraceeLostException">One is gone.</exception>
    public void Dispose()
    {
        foreach (HoldWord word in words)
        {
            HoldWord.Releaser(word.Scratch, word.Offset)();
        }

        TraceeLostException? lost = null;
        foreach (RemoteBatch batch in groups.SelectMany(group => group.Batches))
        {
            try
            {
                if (isHolding)
                {
                    batch.Wait();
                }
            }
            catch (TraceeLostException gone)
            {
                lost ??= gone;
            }

            batch.Clear();
        }

        if (lost is not null)
        {
            throw lost;
        }
    }
}
