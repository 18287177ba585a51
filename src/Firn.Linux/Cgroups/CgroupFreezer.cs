using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux.Cgroups;

/// <summary>The freezer of a control group, version 1 or 2: it stops all tasks of the group and of those below it.</summary>
/// <remarks>
/// Kernel: kernel/cgroup/freezer.c and legacy_freezer.c. A task under ptrace counts as frozen. In version 1 a frozen task does not come to
/// a ptrace stop; in version 2 it does. In both it makes no call while its group is frozen.
/// </remarks>
public sealed class CgroupFreezer
{
    private readonly bool isUnified;

    private CgroupFreezer(Cgroup group, bool isUnified)
    {
        Group = group;
        this.isUnified = isUnified;
    }

    /// <summary>The group.</summary>
    public Cgroup Group { get; }

    /// <summary>The file that says and sets whether it is to be frozen.</summary>
    public string File => isUnified ? "cgroup.freeze" : "freezer.state";

    /// <summary>What is written to freeze it.</summary>
    public string FreezeText => isUnified ? "1" : "FROZEN";

    /// <summary>What is written to thaw it.</summary>
    public string ThawText => isUnified ? "0" : "THAWED";

    /// <summary>Whether this very group was told to freeze, whatever its parents were told.</summary>
    public bool IsFrozenItself => Group.Read(isUnified ? File : "freezer.self_freezing").Trim() == "1";

    /// <summary>Whether all of its tasks stand still.</summary>
    public bool IsStill => isUnified
        ? Group.Read("cgroup.events").Contains("frozen 1", StringComparison.Ordinal)
        : Group.Read(File).Trim() == "FROZEN";

    /// <summary>The freezer of a group; null where it has none, as the root of a hierarchy.</summary>
    public static CgroupFreezer? Of(Cgroup group)
        => group.Has("cgroup.freeze") ? new CgroupFreezer(group, true)
            : group.Has("freezer.state") ? new CgroupFreezer(group, false)
            : null;

    /// <summary>Tells the group to freeze.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Freeze() => Group.Write(File, FreezeText);

    /// <summary>Tells the group to thaw; one that is gone needs none.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Thaw()
    {
        SysResult result = Group.TryWrite(File, ThawText);
        if (result.Errno is not (Errno.ENOENT or Errno.ENODEV))
        {
            result.OrThrow($"write({Group.PathOf(File)}, \"{ThawText}\")");
        }
    }

    /// <summary>Waits until all tasks stand still.</summary>
    /// <param name="deadline">Until when, in nanoseconds of CLOCK_MONOTONIC.</param>
    /// <returns>Whether they do: a task that sits in the kernel uninterruptibly does not.</returns>
    public bool WaitUntilStill(long deadline)
    {
        for (int round = 0; !IsStill; round++)
        {
            if (Sys.ClockNanoseconds(1) > deadline)
            {
                return false;
            }

            if (round < 32)
            {
                _ = Kernel.Call(Sysno.sched_yield);
            }
            else
            {
                Thread.Sleep(1);
            }
        }

        return true;
    }

    /// <summary>The path of the file that freezes the group.</summary>
    public string Path => Group.PathOf(File);

    /// <summary>What is written to it to freeze the group, or thaw it.</summary>
    public byte[] BytesFor(bool frozen) => Encoding.ASCII.GetBytes(frozen ? FreezeText : ThawText);
}
