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
    /// <remarks>All mount namespaces of the tree are planned with the first, since they share what is mounted in them.</remarks>
    public override void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
        List<RestoredNamespace> all = All(context);
        if (own.Joined is not null || all[0] != own)
        {
            return;
        }

        ExternalMounts external = ExternalMounts.Parse(context.Options.External);
        Restored restored = context.Files.State.Get<Restored>();
        List<IReadOnlyList<MountNode>> trees = [];
        MountPlan plan;
        RestoredNamespace read = own;
        try
        {
            foreach (RestoredNamespace its in all)
            {
                read = its;
                trees.Add(MountNode.Build(NestedProcs.WithPlace(its, context.Images.All<MntEntry>(ImageKind.Mnts, its.Id))));
                foreach (MountNode node in trees[^1].Where(_ => context.Nested.Contains(its)))
                {
                    context.NestedMounts.TryAdd(node.Entry.MntId, its);
                }
            }

            plan = MountPlan.Make(
                new MountForest(trees, !context.Nested.Contains(own)),
                context.Options.Root ?? "/",
                node => Outside(node.Entry, external),
                context.OwnNamespace(CloneFlags.CLONE_NEWCGROUP) is not null);
        }
        catch (FormatException exception) when (exception is not ImageFormatException)
        {
            throw new ImageFormatException(
                ImageKind.Mnts.FileName(read.Id), -1, "mount-tree", $"{exception.Message}; the image is damaged: dump again", exception);
        }

        restored.Tree = MountTree.Prepare(context, plan);
    }

    /// <inheritdoc/>
    public override void InRoot(RestoreContext context, RestoredNamespace own, Remote root)
    {
        if (context.Files.State.Get<Restored>().Tree is not { } tree || All(context)[0] != own)
        {
            return;
        }

        tree.Restore(root);
        foreach ((RestoredNamespace nested, Fd entrance) in All(context).Where(context.Nested.Contains).Zip(tree.Namespaces))
        {
            nested.Entrance = entrance;
        }
    }

    // Those that are made: the root's first, if it is.
    private List<RestoredNamespace> All(RestoreContext context)
        => [.. context.Namespaces.Concat(context.Nested).Where(own => own.Kind == this && own is { IsFirns: false, IsFromImages: true })];

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
