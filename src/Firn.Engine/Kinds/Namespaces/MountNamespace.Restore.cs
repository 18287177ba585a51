using Firn.Engine.Kinds.Namespaces.Mounts;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces;

/// <content>The restore half.</content>
internal sealed partial class MountNamespace
{
    /// <inheritdoc/>
    public override void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
        List<MntEntry> entries = [.. context.Images.All<MntEntry>(ImageKind.Mnts, own.Id)];
        if (own.Joined is not null)
        {
            return;
        }

        ExternalMounts external = ExternalMounts.Parse(context.Options.External);
        MountPlan plan;
        try
        {
            plan = MountPlan.Make(
                entries,
                context.Options.Root ?? "/",
                node => Outside(node.Entry, external),
                context.OwnNamespace(CloneFlags.CLONE_NEWCGROUP) is not null);
        }
        catch (FormatException exception) when (exception is not ImageFormatException)
        {
            throw new ImageFormatException(
                ImageKind.Mnts.FileName(own.Id), -1, "mount-tree", $"{exception.Message}; the image is damaged: dump again", exception);
        }

        context.Files.State.Get<Restored>().Tree = MountTree.Prepare(context, plan);
    }

    /// <inheritdoc/>
    public override void InRoot(RestoreContext context, RestoredNamespace own, Remote root)
        => context.Files.State.Get<Restored>().Tree?.Restore(root);

    /// <summary>A proc file system of the tree's own that can be written to, if its mount namespace was restored.</summary>
    public static Fd? WritableProc(RestoreContext context) => context.Files.State.Get<Restored>().Tree?.Proc;

    /// <summary>
    /// Takes over the master of a terminal that had to be made for its slave to be mounted, as a container's console is; null for none.
    /// </summary>
    public static Fd? TakeTerminal(RestoreContext context, int index)
        => context.Files.State.Get<Restored>().Tree is { } tree && tree.Terminals.Remove(index, out Fd? master) ? master : null;

    // Images of before 2.0 have the key as the root.
    private static string? Outside(MntEntry entry, ExternalMounts external)
    {
        string key = entry.HasExtKey ? entry.ExtKey : entry.Root;
        return key == ExternalMounts.FoundKey ? entry.Root : external.Find(key);
    }

    private sealed class Restored : IDisposable
    {
        public MountTree? Tree { get; set; }

        public void Dispose() => Tree?.Dispose();
    }
}
