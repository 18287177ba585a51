using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Firn.Linux.Procfs;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Freezing;

/// <summary>A tree that is left frozen in its cgroup, and thawed by a step of its own: `firn freeze`, `firn thaw`,
/// `--leave-frozen`.</summary>
/// <remarks>
/// A tree that shares its cgroup with others gets one of its own, `firn-PID`, right below; the thaw moves it back and removes that.
/// </remarks>
internal static class StillTree
{
    private const long NanosecondsPerSecond = 1_000_000_000;
    private const int MovingPasses = 64;

    /// <summary>Freezes a tree and returns once all of it stands still.</summary>
    /// <param name="root">The root of the tree.</param>
    /// <param name="named">The cgroup that the user has named, or null.</param>
    /// <param name="timeoutSeconds">How long to wait for it to stand still.</param>
    /// <param name="log">Where log lines go.</param>
    /// <returns>The directory of the cgroup that is frozen.</returns>
    /// <exception cref="CheckpointException">It can't be frozen; it runs as before.</exception>
    public static string Freeze(int root, string? named, int timeoutSeconds, ILogger log)
    {
        var groups = new FreezerGroups();
        long deadline = Sys.ClockNanoseconds(1) + (timeoutSeconds * NanosecondsPerSecond);
        if (named is not null)
        {
            return FreezeGroup(groups.Named(named), deadline, log);
        }

        MustExist(root);
        if (groups.FindExclusive(root) is { } own)
        {
            HashSet<int> within = [.. own.Group.AllProcesses()];
            int outside = new Family(root).Members().Find(pid => !within.Contains(pid) && !IsWithin(own.Group, pid) && !IsGoing(pid));
            return outside == 0
                ? FreezeGroup(own, deadline, log)
                : throw Failure(
                    $"the tree of {root} is in several cgroups: {own.Group} holds its root, but not task {outside}; name one cgroup that "
                        + "holds all with --freeze-cgroup",
                    root);
        }

        return FreezeInOwnGroup(groups.PlaceFor(root), root, deadline, log);
    }

    /// <summary>Thaws a tree.</summary>
    /// <param name="root">The root of the tree.</param>
    /// <param name="named">The cgroup that the user has named, or null.</param>
    /// <param name="log">Where log lines go.</param>
    /// <returns>The directories of the cgroups that were frozen.</returns>
    /// <exception cref="CheckpointException">It isn't frozen, or can't be thawed.</exception>
    public static IReadOnlyList<string> Thaw(int root, string? named, ILogger log)
    {
        var groups = new FreezerGroups();
        List<CgroupFreezer> frozen;
        if (named is not null)
        {
            CgroupFreezer freezer = groups.Named(named);
            frozen = freezer.IsFrozenItself ? [freezer]
                : throw Failure($"cgroup {freezer.Group} isn't frozen: there is nothing to thaw", 0);
        }
        else
        {
            MustExist(root);
            var family = new Family(root);
            frozen = groups.FindFrozen(family.Members());
            if (frozen.Count == 0)
            {
                throw Failure($"the tree of {root} isn't frozen by a cgroup: there is nothing to thaw", root);
            }

            if (frozen.Find(freezer => !family.IsAlone(freezer.Group)) is { } shared)
            {
                throw Failure(
                    $"cgroup {shared.Group} is frozen and holds other tasks than the tree of {root}; name it with "
                        + $"--freeze-cgroup, to thaw all",
                    root);
            }
        }

        foreach (CgroupFreezer freezer in frozen)
        {
            freezer.Thaw();
            log.LogInformation("cgroup {Group} is thawed", freezer.Group);
            if (IsMade(freezer.Group))
            {
                Dissolve(freezer.Group, log);
            }
        }

        return [.. frozen.Select(freezer => freezer.Group.Directory)];
    }

    /// <summary>Thaws whatever holds a tree that is to be ended; nothing, perhaps.</summary>
    /// <param name="root">The root of the tree.</param>
    /// <param name="log">Where log lines go.</param>
    public static void LetGo(int root, ILogger log)
    {
        foreach (CgroupFreezer freezer in new FreezerGroups().FindFrozen(new Family(root).Members()))
        {
            freezer.Thaw();
            if (IsMade(freezer.Group))
            {
                Dissolve(freezer.Group, log);
            }
        }
    }

    private static string FreezeGroup(CgroupFreezer freezer, long deadline, ILogger log)
    {
        bool wasFrozen = freezer.IsFrozenItself;
        freezer.Freeze();
        if (!freezer.WaitUntilStill(deadline))
        {
            if (!wasFrozen)
            {
                freezer.Thaw();
            }

            throw Failure(
                $"cgroup {freezer.Group} does not come to a stop: a task of it sits in the kernel uninterruptibly; try again "
                    + $"later, or with a "
                    + "longer --timeout",
                0);
        }

        log.LogInformation("cgroup {Group} is frozen", freezer.Group);
        return freezer.Group.Directory;
    }

    // The new group is frozen before it has a task: whoever is moved in stands still at once, and forks no more.
    private static string FreezeInOwnGroup(Cgroup made, int root, long deadline, ILogger log)
    {
        var parent = new Cgroup(Path.GetDirectoryName(made.Directory)!);
        SysResult result = Sys.MkdirAt(At.AT_FDCWD, made.Directory, 0x1ED);
        if (result.IsError)
        {
            throw Failure($"cgroup {made} can't be made: {result.Errno} ({ErrnoText.Describe(result.Errno)})", root);
        }

        try
        {
            CgroupFreezer freezer = CgroupFreezer.Of(made)!;
            freezer.Freeze();
            HashSet<int> moved = [];
            for (int pass = 0; pass < MovingPasses; pass++)
            {
                List<int> fresh = [.. new Family(root).Members().Where(pid => !moved.Contains(pid))];
                if (fresh.Count == 0)
                {
                    return FreezeGroup(freezer, deadline, log);
                }

                foreach (int pid in fresh)
                {
                    if (!IsWithin(parent, pid) && !IsWithin(made, pid) && !IsGoing(pid))
                    {
                        throw Failure(
                            $"the tree of {root} is in several cgroups: {parent} holds its root, but not task {pid}; name one cgroup that "
                                + "holds all with --freeze-cgroup",
                            root);
                    }

                    Move(made, pid);
                    moved.Add(pid);
                }
            }

            throw Failure($"the tree of {root} makes processes faster than they can be moved into a cgroup; start it in one of its own",
                root);
        }
        catch
        {
            CgroupFreezer.Of(made)?.Thaw();
            Dissolve(made, log);
            throw;
        }
    }

    private static bool IsMade(Cgroup group)
        => Path.GetFileName(group.Directory) is string name && name.StartsWith("firn-", StringComparison.Ordinal)
            && int.TryParse(name.AsSpan(5), out int root) && FreezerGroups.MadeName(root) == name;

    private static void Dissolve(Cgroup made, ILogger log)
    {
        var parent = new Cgroup(Path.GetDirectoryName(made.Directory)!);
        for (int pass = 0; pass < MovingPasses; pass++)
        {
            foreach (int pid in made.Processes())
            {
                Move(parent, pid);
            }

            SysResult removed = Sys.RmdirAt(At.AT_FDCWD, made.Directory);
            if (!removed.IsError || removed.Errno == Errno.ENOENT)
            {
                return;
            }
        }

        log.LogWarning("cgroup {Group} can't be removed: tasks appear in it faster than they can be moved out", made);
    }

    private static void Move(Cgroup group, int pid)
    {
        SysResult result = group.TryWrite("cgroup.procs", pid.ToString(System.Globalization.CultureInfo.InvariantCulture));
        if (result.Errno != Errno.ESRCH)
        {
            result.OrThrow($"write({group.PathOf("cgroup.procs")}, \"{pid}\")");
        }
    }

    // Whether a process is in a group or below it, by what it says itself.
    private static bool IsWithin(Cgroup group, int pid) => group.AllProcesses().Contains(pid);

    // A zombie is in no group that could be read.
    private static bool IsGoing(int pid)
        => ProcStat.TryRead(pid, out ProcStat? stat).IsError || stat?.State is TaskState.Zombie or TaskState.Dead;

    private static void MustExist(int pid)
    {
        if (Sys.Kill(pid, Signal.None).Errno == Errno.ESRCH)
        {
            throw Failure($"there is no process {pid}: it has ended, or runs in another pid namespace", pid);
        }
    }

    private static CheckpointException Failure(string message, int pid) => new(message) { Phase = "freeze", Pid = pid };
}
