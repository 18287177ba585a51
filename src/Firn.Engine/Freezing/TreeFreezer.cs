using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Freezing;

/// <summary>What the freezers of control groups do for a dump: they stop a tree at one instant, and hold what was frozen before.</summary>
/// <remarks>
/// A group is frozen only until all threads are seized: in a frozen group no remote call runs, and no task forks. What was found frozen is
/// thawed for the dump, with every thread under ptrace, and frozen again before the first is let go. While a group is not as it was found,
/// a <see cref="Guard"/> stands by, so that a Firn that is killed leaves it as it was.
/// </remarks>
internal sealed class TreeFreezer : IDisposable
{
    private readonly ILogger log;
    private readonly FreezerGroups groups = new();
    private readonly CgroupFreezer? instant;
    private readonly List<CgroupFreezer> foundFrozen = [];
    private readonly HashSet<int> known = [];
    private Guard? guard;

    /// <summary>Chooses what to use; nothing is done yet.</summary>
    /// <exception cref="CheckpointException">The group that was named can't be used.</exception>
    public TreeFreezer(DumpOptions options, ILogger log)
    {
        this.log = log;
        instant = options.FreezeCgroup is null ? groups.FindExclusive(options.Tree) : groups.Named(options.FreezeCgroup);
        if (instant is { IsFrozenItself: true })
        {
            // It will be found with the others that are.
            instant = null;
        }
    }

    /// <summary>The groups that were frozen before, and are thawed now.</summary>
    public IReadOnlyList<CgroupFreezer> FoundFrozen => foundFrozen;

    /// <summary>Whether the tree stands still, so that none of it can appear or end.</summary>
    public bool IsHolding { get; private set; }

    private bool IsStopping { get; set; }

    /// <summary>Stops the group, if there is one to use.</summary>
    /// <param name="deadline">Until when to wait for it to stand still, in nanoseconds of CLOCK_MONOTONIC.</param>
    public void Stop(long deadline)
    {
        if (instant is null)
        {
            return;
        }

        guard ??= Guard.Start(new GuardPlan().Write(instant.Path, instant.BytesFor(frozen: false)));
        IsStopping = true;
        instant.Freeze();

        // What does not stop in time, stops by ptrace or is named there.
        long half = (deadline + Sys.ClockNanoseconds(1)) / 2;
        IsHolding = instant.WaitUntilStill(half);
        log.LogDebug("cgroup {Group} is frozen{Partly}", instant.Group, IsHolding ? string.Empty : ", but for some task");
    }

    /// <summary>Lets go of tasks that are all seized and interrupted: they come to their ptrace stops.</summary>
    /// <exception cref="CheckpointException">A group that holds other tasks, too, was frozen before.</exception>
    public void Release(FrozenTree tree)
    {
        List<int> fresh = [.. tree.Tasks.Select(task => task.Pid).Where(known.Add)];
        List<CgroupFreezer> found = groups.FindFrozen(fresh);
        found.RemoveAll(freezer => freezer.Group == instant?.Group || foundFrozen.Exists(other => other.Group == freezer.Group));
        foreach (CgroupFreezer freezer in found)
        {
            RefuseOthers(tree, freezer);
        }

        if (found.Count > 0)
        {
            foundFrozen.AddRange(found);
            var plan = new GuardPlan();
            if (IsStopping)
            {
                plan.Write(instant!.Path, instant.BytesFor(frozen: false));
            }

            foundFrozen.ForEach(freezer => plan.Write(freezer.Path, freezer.BytesFor(frozen: true)));
            Guard? former = guard;
            guard = Guard.Start(plan);
            former?.Dispose();
        }

        EndInstant();
        foreach (CgroupFreezer freezer in found)
        {
            log.LogInformation("cgroup {Group} was frozen: thawed for the dump", freezer.Group);
            freezer.Thaw();
        }
    }

    /// <summary>Tasks that were frozen before may go home for a moment: they are looked at anew.</summary>
    public void Forget() => known.Clear();

    /// <summary>Freezes again what was frozen before. Every task is still in a ptrace stop, or gone.</summary>
    public void PutBack()
    {
        EndInstant();
        foreach (CgroupFreezer freezer in foundFrozen)
        {
            SysResult result = freezer.Group.TryWrite(freezer.File, freezer.FreezeText);
            if (result.IsError && result.Errno is not (Errno.ENOENT or Errno.ENODEV))
            {
                log.LogError("cgroup {Group} can't be frozen again: {Errno}", freezer.Group, result.Errno);
            }
        }

        foundFrozen.Clear();
        guard?.Dispose();
        guard = null;
    }

    /// <inheritdoc/>
    public void Dispose() => PutBack();

    private static void RefuseOthers(FrozenTree tree, CgroupFreezer freezer)
    {
        foreach (int pid in freezer.Group.AllProcesses())
        {
            if (!tree.Tasks.Exists(task => task.ProcessId == pid))
            {
                string who = pid == 0 ? "a task of another pid namespace" : $"task {pid}";
                throw new CheckpointException(
                    $"cgroup {freezer.Group} is frozen, and to save the tree it must be thawed for a moment; but it also holds {who}, "
                        + "which is no part of the tree and would run on; thaw it (firn thaw), or move that task out")
                {
                    Phase = "freeze",
                };
            }
        }
    }

    private void EndInstant()
    {
        if (!IsStopping)
        {
            return;
        }

        instant!.Thaw();
        IsStopping = false;
        IsHolding = false;
        if (foundFrozen.Count == 0)
        {
            guard?.Dispose();
            guard = null;
        }
    }
}
