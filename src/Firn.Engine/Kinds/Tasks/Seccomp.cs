using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>Seccomp: strict mode, and chains of filters.</summary>
/// <remarks>
/// <para>
/// A thread's chain is the place of its last filter in seccomp.img, and each filter has the place of the one before it: chains that are
/// alike are stored once. What all threads of a process have in common is installed for all at once (SECCOMP_FILTER_FLAG_TSYNC): for
/// a later synchronisation by the program it must be the same object and not only the same bytes.
/// </para>
/// <para>
/// The threads are sealed before their credentials are, while they may still install filters; so the restore must run under
/// PTRACE_O_SUSPEND_SECCOMP, as a dump does. seccomp(2), ptrace(2); kernel/seccomp.c, get_nth_filter().
/// </para>
/// </remarks>
internal sealed class Seccomp : TaskKind
{
    private const int SetModeFilter = 1;
    private const uint FlagTsync = 1;
    private const int ModeStrict = 1;
    private const int MostInstructions = 4096;
    private const PtraceOptions Working = PtraceOptions.PTRACE_O_EXITKILL | PtraceOptions.PTRACE_O_TRACESYSGOOD;
    private const int InstructionSize = sizeof(ulong);

    // ---- dump

    /// <inheritdoc/>
    /// <remarks>Of the whole tree at its root: the filters of all have one image. <see cref="Credentials"/> has found the modes.</remarks>
    public override void DumpTask(DumpContext context, DumpedTask task, RemoteBatch batch)
    {
        if (task != context.Tasks[0])
        {
            return;
        }

        var image = new SeccompEntry();
        var places = new Dictionary<SeccompFilter, uint>();
        foreach (DumpedThread thread in context.Tasks.Where(member => !member.IsZombie).SelectMany(member => member.Threads))
        {
            if (thread.ThreadCore().SeccompMode == SeccompMode.Filter)
            {
                DumpChain(context, thread, image, places);
            }
        }

        context.Images.Add(ImageKind.Seccomp, 0, image);
    }

    // ---- restore

    /// <inheritdoc/>
    public override void Arm(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        // A leader that is to exit gets what is installed for all threads.
        if (IsFiltered(thread) || (thread.Task.HasDeadLeader && thread.Task.Alive.Any(IsFiltered)))
        {
            // From here on Firn itself would be filtered.
            thread.Remote.Tracee.SetOptions(Working | PtraceOptions.PTRACE_O_SUSPEND_SECCOMP);
        }

        if (thread == thread.Task.FirstAlive && SharedCount(context, thread.Task) is > 0 and int count)
        {
            foreach (SeccompFilter filter in Chain(context, thread).Take(count))
            {
                Install(batch, filter, FlagTsync);
            }
        }
    }

    /// <inheritdoc/>
    public override void Seal(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        switch (thread.Core.ThreadCore?.SeccompMode)
        {
            case SeccompMode.Strict:
                batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_SECCOMP, ModeStrict);
                break;
            case SeccompMode.Filter:
                foreach (SeccompFilter filter in Chain(context, thread).Skip(SharedCount(context, thread.Task)))
                {
                    Install(batch, filter, 0);
                }

                break;
        }
    }

    /// <summary>The filters of a chain, the oldest first.</summary>
    /// <exception cref="ImageFormatException">A place that isn't there, or comes before itself.</exception>
    internal static List<SeccompFilter> Chain(SeccompEntry image, uint last)
    {
        var chain = new List<SeccompFilter>();
        uint? place = last;
        while (place is { } index)
        {
            if (index >= image.SeccompFilters.Count || chain.Count > image.SeccompFilters.Count)
            {
                throw new ImageFormatException(
                    "seccomp.img", 0, "filter", $"has {image.SeccompFilters.Count} filters, and a chain leads to number {index}");
            }

            SeccompFilter filter = image.SeccompFilters[(int)index];
            chain.Add(filter);
            place = filter.HasPrev ? filter.Prev : null;
        }

        chain.Reverse();
        return chain;
    }

    private static List<SeccompFilter> Chain(RestoreContext context, RestoredThread thread)
        => thread.Core.ThreadCore is { SeccompMode: SeccompMode.Filter } core
            ? Chain(context.Images.All<SeccompEntry>(ImageKind.Seccomp).FirstOrDefault() ?? new SeccompEntry(), core.SeccompFilter)
            : [];

    // How many filters all threads have in common, from the oldest on. A process of one thread needs no synchronisation.
    private static int SharedCount(RestoreContext context, RestoredTask task)
    {
        if (task.Alive.Count() < 2)
        {
            return 0;
        }

        List<SeccompFilter> first = Chain(context, task.FirstAlive);
        int count = first.Count;
        foreach (RestoredThread thread in task.Alive.Skip(1))
        {
            count = Math.Min(count, first.Zip(Chain(context, thread)).TakeWhile(pair => ReferenceEquals(pair.First, pair.Second)).Count());
        }

        return count;
    }

    /// <summary>Whether the system calls of a thread are to be filtered.</summary>
    internal static bool IsFiltered(RestoredThread thread)
        => thread.Core.ThreadCore?.SeccompMode is not (null or SeccompMode.Disabled);

    private static void Install(RemoteBatch batch, SeccompFilter filter, uint flags)
    {
        batch.MakeRoom(1, filter.Filter.Length + 16, "seccomp filters");
        RemoteBuffer program = batch.Data(new FilterProgram
        {
            len = (ushort)(filter.Filter.Length / InstructionSize),
            filter = batch.Data(filter.Filter.Span).Address.Value,
        });
        batch.Call(Sysno.seccomp, SetModeFilter, filter.Flags | flags, program);
    }

    private static void DumpChain(DumpContext context, DumpedThread thread, SeccompEntry image, Dictionary<SeccompFilter, uint> places)
    {
        ulong[] buffer = new ulong[MostInstructions];
        uint? last = null;
        for (int i = 0; ; i++)
        {
            // Number 0 is the oldest.
            SysResult length = Sys.Ptrace(PtraceRequest.PTRACE_SECCOMP_GET_FILTER, thread.Tid, i, ref buffer[0]);
            if (length.Errno == Errno.ENOENT)
            {
                break;
            }

            if (length.IsError)
            {
                context.Problems.Add(
                    "seccomp-filter",
                    thread.Task.Pid,
                    $"thread {thread.Tid}: seccomp filter {i}",
                    $"the kernel doesn't show it: {length.Errno}",
                    "run firn with CAP_SYS_ADMIN and without seccomp of its own; a filter that isn't classic BPF can't be saved");
                return;
            }

            var filter = new SeccompFilter { Filter = ByteString.CopyFrom(MemoryMarshal.AsBytes(buffer.AsSpan(0, length.Int32))) };
            if (last is { } previous)
            {
                filter.Prev = previous;
            }

            var metadata = new SeccompMetadata { filter_off = (ulong)i };
            if (!Sys.Ptrace(PtraceRequest.PTRACE_SECCOMP_GET_METADATA, thread.Tid, Marshal.SizeOf<SeccompMetadata>(), ref metadata).IsError
                && metadata.flags != 0)
            {
                filter.Flags = (uint)metadata.flags;
            }

            if (!places.TryGetValue(filter, out uint place))
            {
                place = (uint)image.SeccompFilters.Count;
                places.Add(filter, place);
                image.SeccompFilters.Add(filter);
            }

            last = place;
        }

        if (last is { } end)
        {
            thread.ThreadCore().SeccompFilter = end;
        }
    }
}
