using System.Globalization;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>A time namespace: monotonic and boot time go on from where they stood. time_namespaces(7).</summary>
internal sealed class TimeNamespace : NamespaceKind
{
    private const int ClockMonotonic = 1;
    private const int ClockBoottime = 7;
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <inheritdoc/>
    public override string Name => "time";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWTIME;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Time;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.TimeNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.TimeNsId = id;

    /// <inheritdoc/>
    /// <remarks>Who makes one stays where it was, until it executes or goes there.</remarks>
    public override string EntranceName => "time_for_children";

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    /// <remarks>
    /// What the clocks show in it. No thread of a process with others can enter a time namespace; but its offsets can be read, since no
    /// task of the tree has chosen another for its children.
    /// </remarks>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        (Int128 monotonic, Int128 boottime) = ReadOffsets(own.Member.Pid);
        context.Images.Add(ImageKind.Timens, own.Id, Now(monotonic, boottime));
    }

    /// <summary>What the clocks show where they are ahead of Firn's by so many nanoseconds.</summary>
    public static TimensEntry Now(Int128 monotonic, Int128 boottime) => new()
    {
        Monotonic = ToMessage(Sys.ClockNanoseconds(ClockMonotonic) + monotonic),
        Boottime = ToMessage(Sys.ClockNanoseconds(ClockBoottime) + boottime),
    };

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>The root enters the namespace when it executes, and the offsets hold from then on.</remarks>
    public override void BeforeExec(RestoreContext context, RestoredNamespace own, int root) => WriteOffsets(context, own, root);

    /// <inheritdoc/>
    public override void InRoot(RestoreContext context, RestoredNamespace own, Remote root)
    {
        // The root's own has them from before.
        if (context.Nested.Contains(own))
        {
            WriteOffsets(context, own, root.Tracee.Tid);
        }
    }

    private static void WriteOffsets(RestoreContext context, RestoredNamespace own, int root)
    {
        var saved = context.Images.One<TimensEntry>(ImageKind.Timens, own.Id);
        string text = Line("monotonic", Nanoseconds(saved.Monotonic) - Sys.ClockNanoseconds(ClockMonotonic))
            + Line("boottime", Nanoseconds(saved.Boottime) - Sys.ClockNanoseconds(ClockBoottime));
        string path = $"/proc/{root}/timens_offsets";
        ProcValue.Write(path, text).OrThrow($"write({path}, {text.ReplaceLineEndings(" ")})");
    }

    // Three columns: the clock's name, seconds, which may be negative, and nanoseconds, which may not.
    private static (Int128 Monotonic, Int128 Boottime) ReadOffsets(int pid)
    {
        Int128 monotonic = 0;
        Int128 boottime = 0;
        foreach (string line in Sys.ReadText($"/proc/{pid}/timens_offsets").Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] columns = line.Split(' ', StringSplitOptions.RemoveEmptyEntries);
            Int128 offset = (long.Parse(columns[1], CultureInfo.InvariantCulture) * (Int128)NanosecondsPerSecond)
                + long.Parse(columns[2], CultureInfo.InvariantCulture);
            if (columns[0] == "monotonic")
            {
                monotonic = offset;
            }
            else
            {
                boottime = offset;
            }
        }

        return (monotonic, boottime);
    }

    private static string Line(string clock, Int128 offset)
    {
        Int128 nanoseconds = ((offset % NanosecondsPerSecond) + NanosecondsPerSecond) % NanosecondsPerSecond;
        return string.Create(CultureInfo.InvariantCulture, $"{clock} {(offset - nanoseconds) / NanosecondsPerSecond} {nanoseconds}\n");
    }

    private static Int128 Nanoseconds(Images.Timespec time) => (time.TvSec * (Int128)NanosecondsPerSecond) + time.TvNsec;

    private static Images.Timespec ToMessage(Int128 nanoseconds)
        => new() { TvSec = (ulong)(nanoseconds / NanosecondsPerSecond), TvNsec = (ulong)(nanoseconds % NanosecondsPerSecond) };
}
