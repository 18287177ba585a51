using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>The mount namespaces of the tree that aren't Firn's own: the root's first. Of a dump's state.</summary>
internal sealed class MountViews : IDisposable
{
    private readonly List<MountView> all = [];

    /// <summary>All that were looked at.</summary>
    public IReadOnlyList<MountView> All => all;

    /// <summary>All mounts, once they are joined.</summary>
    public MountForest Forest { get; private set; } = new([], false);

    /// <summary>Whether the content of file systems has been written.</summary>
    public bool HasDumpedContents { get; set; }

    /// <summary>The view of a namespace.</summary>
    public MountView Of(DumpedNamespace own) => all.First(view => view.Own == own);

    /// <summary>Looks at a namespace. Nothing is changed.</summary>
    public MountView Look(DumpContext context, DumpedNamespace own)
    {
        var view = new MountView(own);
        all.Add(view);
        view.Look(context);
        return view;
    }

    /// <summary>Joins the mounts of all, once it is known which are external.</summary>
    /// <exception cref="FormatException">They are no trees.</exception>
    public void Join()
    {
        all.ForEach(view => view.Join());
        Forest = new MountForest([.. all.Select(view => view.Nodes)], all.Exists(view => !view.Own.IsNested));
    }

    /// <summary>What to put before the name of a file so that Firn finds it; empty if it is on a mount of Firn's namespace.</summary>
    public string PrefixFor(OpenFile file) => ViewFor(() => MountIdOf(file))?.Prefix ?? string.Empty;

    /// <summary>The same for what is on a mount.</summary>
    public string PrefixFor(int mount) => ViewFor(() => mount)?.Prefix ?? string.Empty;

    /// <summary>The mount that a file is on, for its entry; -1 where mounts aren't saved.</summary>
    public int MountOf(OpenFile file) => ViewFor(() => MountIdOf(file)) is null ? -1 : MountIdOf(file);

    /// <inheritdoc/>
    public void Dispose() => all.ForEach(view => view.Dispose());

    // A file may be on a mount of another namespace than its task: it was opened before the task came here. One that is on a mount of none
    // of them is looked for where the root is.
    private MountView? ViewFor(Func<int> mount)
    {
        if (all.Count == 0)
        {
            return null;
        }

        MountView? roots = all[0].Own.IsNested ? null : all[0];
        if (all.Count == 1 && roots is not null)
        {
            return roots;
        }

        uint id = (uint)mount();
        return all.Find(view => view.Found.ContainsKey(id)) ?? roots;
    }

    private static int MountIdOf(OpenFile file)
        => file.IsDescriptor ? file.Info.MountId
            : Sys.StatxAt(At.AT_FDCWD, file.ProcPath, 0, StatxMask.STATX_MNT_ID, out Statx stat).IsError ? -1 : (int)stat.stx_mnt_id;
}
