using Firn.Engine.Tree;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Tasks;

/// <summary>The execution domain: flags such as ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC.</summary>
/// <remarks>
/// personality(2). CRIU has one for the task, but the kernel keeps one for each thread: where they differ, Firn adds the thread's.
/// The task's own is read by <see cref="TaskStates"/>. Set after all memory is mapped: READ_IMPLIES_EXEC would change how.
/// </remarks>
internal sealed class ThreadPersonality : TaskKind
{
    private const uint Ask = uint.MaxValue;

    /// <inheritdoc/>
    public override void DumpThread(DumpContext context, DumpedThread thread, RemoteBatch batch)
    {
        Slot persona = batch.Call(Sysno.personality, Ask);
        batch.Then(() =>
        {
            uint found = (uint)persona.Int32;
            if (found != thread.Task.TaskCore().Personality)
            {
                thread.ThreadCore().Personality = found;
            }
        });
    }

    /// <inheritdoc/>
    public override void RestoreThread(RestoreContext context, RestoredThread thread, RemoteBatch batch)
    {
        uint persona = thread.Core.ThreadCore is { HasPersonality: true } core ? core.Personality : thread.Task.Core.Tc.Personality;
        batch.Call(Sysno.personality, persona);
    }
}
