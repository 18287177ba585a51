using System.Runtime.ExceptionServices;
using Firn.Engine.Tree;

namespace Firn.Engine.Memory;

/// <summary>Reads the VmFlags of many processes on a thread of its own, while the tracer's does all else.</summary>
/// <remarks>They are a third of the time that a tree of many processes stands still, and the kernel's work alone.</remarks>
internal sealed class AdvicesAhead : IDisposable
{
    // What a thread costs is more than a few processes gain.
    private const int FewestTasks = 8;

    private readonly IReadOnlyList<DumpedTask> tasks;
    private readonly Dictionary<DumpedTask, MemoryAdvices> read = [];
    private readonly Thread? thread;
    private readonly bool areMany;
    private ExceptionDispatchInfo? failure;
    private bool isStopped;

    private AdvicesAhead(IReadOnlyList<DumpedTask> tasks)
    {
        this.tasks = tasks;
        areMany = FlagWords.AreWorthWhile(tasks);
        if (tasks.Count >= FewestTasks || areMany)
        {
            thread = new Thread(ReadAll) { Name = "smaps", IsBackground = true };
            thread.Start();
        }
    }

    /// <summary>Begins with the living ones of some tasks, which stand still.</summary>
    public static AdvicesAhead Start(IEnumerable<DumpedTask> tasks)
        => new([.. tasks.Where(task => !task.IsZombie && task.MemoryOwner == task)]);

    /// <summary>The flags of a process, once they are read.</summary>
    /// <exception cref="Linux.LinuxException">They can't be read.</exception>
    public MemoryAdvices Of(DumpedTask task)
    {
        if (thread is null)
        {
            return MemoryAdvices.Read(task.Pid);
        }

        lock (read)
        {
            MemoryAdvices? advices;
            while (!read.Remove(task, out advices))
            {
                failure?.Throw();
                Monitor.Wait(read);
            }

            return advices;
        }
    }

    /// <summary>Ends the reading, so that no process is let go while it is read.</summary>
    public void Dispose()
    {
        lock (read)
        {
            isStopped = true;
        }

        thread?.Join();
    }

    private void ReadAll()
    {
        try
        {
            using FlagWords? words = areMany ? FlagWords.TryLearn() : null;
            foreach (DumpedTask task in tasks)
            {
                MemoryAdvices advices = words is null
                    ? MemoryAdvices.Read(task.Pid)
                    : new MemoryAdvices(words.Read(task.Pid, task.Mappings));
                lock (read)
                {
                    read.Add(task, advices);
                    Monitor.Pulse(read);
                    if (isStopped)
                    {
                        return;
                    }
                }
            }
        }
        catch (Exception exception)
        {
            // Who waits for it throws it.
            lock (read)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
                Monitor.Pulse(read);
            }
        }
    }
}
