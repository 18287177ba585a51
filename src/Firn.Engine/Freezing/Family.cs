using Firn.Linux;
using Firn.Linux.Cgroups;
using Firn.Linux.Procfs;

namespace Firn.Engine.Freezing;

/// <summary>Who descends from a task, while the tree runs: answers that may be late by a moment.</summary>
internal sealed class Family(int root)
{
    private readonly Dictionary<int, bool> known = new() { [root] = true, [0] = false, [1] = root == 1 };

    /// <summary>The root and all that descend from it, parents first.</summary>
    public List<int> Members()
    {
        List<int> members = [root];
        for (int i = 0; i < members.Count; i++)
        {
            List<int> threads = [];
            _ = TaskList.TryRead(members[i], threads);
            foreach (int thread in threads)
            {
                _ = Children.TryRead(members[i], thread, members);
            }
        }

        return members;
    }

    /// <summary>Whether a group holds no one else. Who is gone meanwhile was no one.</summary>
    public bool IsAlone(Cgroup group) => group.AllProcesses().TrueForAll(IsMember);

    private bool IsMember(int pid)
    {
        if (known.TryGetValue(pid, out bool isMember))
        {
            return isMember;
        }

        SysResult result = ProcStat.TryRead(pid, out ProcStat? stat);
        isMember = result.IsError || stat is null || IsMember(stat.ParentPid);
        known[pid] = isMember;
        return isMember;
    }
}
