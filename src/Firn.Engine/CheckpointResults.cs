namespace Firn.Engine;

/// <summary>How long one phase or stage took.</summary>
/// <param name="Name">Its name in lower case, as `freeze` or `forking`.</param>
/// <param name="Duration">From its beginning to the beginning of the next.</param>
public sealed record PhaseTime(string Name, TimeSpan Duration);

/// <summary>How far a dump or restore is.</summary>
/// <param name="Phase">The phase or stage under way.</param>
/// <param name="Done">Bytes of memory done in it.</param>
/// <param name="Total">Bytes of memory to do in it, or 0 where it has none.</param>
public readonly record struct CheckpointProgress(string Phase, long Done, long Total);

/// <summary>The account of a dump.</summary>
/// <param name="Tasks">How many processes were saved.</param>
/// <param name="Threads">How many threads they have in all.</param>
/// <param name="Stopped">How long the tree stood still: from the first task stopped to the last one let go or killed.</param>
/// <param name="Phases">The five phases, in order.</param>
/// <param name="PagesScanned">Pages that were looked at.</param>
/// <param name="PagesWritten">Pages that were written.</param>
/// <param name="PagesShared">Pages not written again because a child still shares them with its parent.</param>
/// <param name="ImageBytes">The size of the image set, in bytes.</param>
public sealed record DumpResult(
    int Tasks,
    int Threads,
    TimeSpan Stopped,
    IReadOnlyList<PhaseTime> Phases,
    long PagesScanned,
    long PagesWritten,
    long PagesShared,
    long ImageBytes);

/// <summary>The account of a restore.</summary>
/// <param name="RootPid">The root of the tree, as this process's pid namespace sees it.</param>
/// <param name="ChildPid">
/// The process that is this one's child, or its sibling if that was asked for: the root, or the init that was added before it.
/// </param>
/// <param name="Tasks">How many processes were restored.</param>
/// <param name="Threads">How many threads they have in all.</param>
/// <param name="Phases">The stages, in order.</param>
/// <param name="PagesRestored">Pages that were filled.</param>
/// <param name="Bytes">Bytes of memory that were read from the images.</param>
public sealed record RestoreResult(
    int RootPid,
    int ChildPid,
    int Tasks,
    int Threads,
    IReadOnlyList<PhaseTime> Phases,
    long PagesRestored,
    long Bytes);
