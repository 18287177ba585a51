using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>The init that Firn adds to a tree which is restored into a new pid namespace, and whose root is no init itself.</summary>
/// <remarks>
/// A pid namespace begins with pid 1, and ends with it. This one reaps whoever ends, as any init does, and lives as long as anyone of the
/// tree; its exit status is that of the tree's root. pid_namespaces(7).
/// </remarks>
internal sealed class AddedInit(Remote remote)
{
    /// <summary>The pid of an init within its namespace.</summary>
    public const int Pid = 1;

    /// <summary>The task.</summary>
    public Remote Remote { get; } = remote;

    /// <summary>Makes it the program that it is to be; it waits to be let go.</summary>
    /// <param name="root">The pid of the tree's root.</param>
    /// <param name="scratch">The scratch of the restore.</param>
    public void Leave(int root, Scratch scratch)
    {
        RemoteBatch batch = Remote.Batch;
        batch.Call(Sysno.prctl, (int)PrctlOption.PR_SET_NAME, batch.Text("firn-init"));
        batch.Call(Sysno.chdir, batch.Text("/"));
        batch.Call(Sysno.close_range, 0, uint.MaxValue, 0);
        batch.Run("init");
        Seed.BecomeInit(Remote, root, scratch);
    }
}
