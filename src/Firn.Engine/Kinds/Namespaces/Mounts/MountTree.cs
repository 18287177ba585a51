using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Cgroups;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Makes a mount tree as planned: by the root task itself, in one batch, or in two where there is content to be put in.</summary>
/// <remarks>
/// The task makes the file systems, so that they belong to its namespaces; Firn opens what lies outside. open_tree(2), fsopen(2),
/// fsmount(2), move_mount(2), mount_setattr(2), pivot_root(2). To copy what is mounted nowhere takes Linux 6.15.
/// </remarks>
internal sealed partial class MountTree : IDisposable
{
    private readonly RestoreContext context;
    private readonly MountPlan plan;
    private readonly int[] numbers;
    private readonly Slot?[] slots;
    private readonly Dictionary<int, Fd> outside = [];
    private readonly List<(Slot Slot, string What)> queued = [];
    private readonly List<(int Index, Slot Slot)> terminals = [];
    private readonly List<MakeFileSystem> readOnly = [];
    private CgroupRoots? cgroups;

    private MountTree(RestoreContext context, MountPlan plan)
    {
        this.context = context;
        this.plan = plan;
        numbers = new int[plan.HandleCount];
        slots = new Slot?[plan.HandleCount];
        Array.Fill(numbers, -1);
    }

    /// <summary>
    /// A proc file system of the tree's pid namespace that can be written to, whatever its mounts allow. Known after the restore.
    /// </summary>
    public Fd? Proc { get; private set; }

    /// <summary>The nested namespaces, in the order of the plan. Known after the restore.</summary>
    public List<Fd> Namespaces { get; } = [];

    /// <summary>Masters of terminals that had to be opened for their slaves to be mounted, by index.</summary>
    public Dictionary<int, Fd> Terminals { get; } = [];

    /// <summary>Opens what lies outside, while there is no task yet: the root inherits it.</summary>
    /// <exception cref="CheckpointException">Something isn't there.</exception>
    public static MountTree Prepare(RestoreContext context, MountPlan plan)
    {
        if (plan.Missing.Count > 0)
        {
            throw new CheckpointException(
                $"mount {string.Join(", ", plan.Missing)} of the tree is external, and nothing says where it lies here; name it with "
                    + "--external mnt[KEY]:PATH, with the key that was given at the dump")
            { Phase = "prepare" };
        }

        var tree = new MountTree(context, plan);
        try
        {
            tree.OpenHidden();
            foreach (MountStep step in plan.Outsiders)
            {
                tree.Open(step);
            }

            tree.OpenCgroupsOfHost();
        }
        catch
        {
            tree.Dispose();
            throw;
        }

        return tree;
    }

    /// <summary>Makes the trees: the main one in the namespace of a task, which must be its own, others in nested namespaces.</summary>
    /// <exception cref="CheckpointException">A mount can't be made.</exception>
    public void Restore(Remote root)
    {
        cgroups ??= new CgroupRoots(context, CgroupMembership.Read(root.Tracee.Tid));
        RemoteBatch batch = root.Batch;
        if (plan.HasMain)
        {
            Queue(batch, "the old tree", Sysno.mount, 0, batch.Text("/"), 0, (uint)(MountFlags.MS_REC | MountFlags.MS_SLAVE), 0);
        }

        foreach (MountStep step in plan.Sources)
        {
            QueueStep(batch, step);
        }

        List<(MakeFileSystem FileSystem, string Image)> contents = [.. plan.Sources.OfType<MakeFileSystem>()
            .Select(step => (step, FindContent(step))).Where(pair => pair.Item2 is not null).Select(pair => (pair.step, pair.Item2!))];
        using var task = new Fd(Sys.PidfdOpen(root.Tracee.Tid).OrThrow("pidfd_open(root)").Int32);
        if (contents.Count > 0)
        {
            Run(batch);
            LoadContents(root, task, contents);
        }

        foreach (MakeFileSystem step in readOnly)
        {
            QueueReadOnly(batch, step);
        }

        foreach (MountStep step in plan.Assembly.Concat(plan.Propagation))
        {
            QueueStep(batch, step);
        }

        Run(batch);
        Proc = plan.HasMain ? Take(task, numbers[plan.ProcHandle]) : null;
        Namespaces.AddRange(plan.Namespaces.Select(handle => Take(task, numbers[handle])));
        foreach ((int index, Slot slot) in terminals)
        {
            Terminals.TryAdd(index, Take(task, slot.Int32));
        }

        CloseAll(batch);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Fd fd in outside.Values.Concat(Terminals.Values))
        {
            fd.Dispose();
        }

        outside.Clear();
        Terminals.Clear();
        Proc?.Dispose();
    }

    // Those that lie under others outside, too.
    private void OpenHidden()
    {
        TakeOutside[] hidden = [.. plan.Outsiders.OfType<TakeOutside>().Where(step => step.Hidden is not null)];
        if (hidden.Length == 0)
        {
            return;
        }

        List<MountEntry> here = MountInfo.Read(Sys.GetPid());
        List<uint> wanted = [];
        foreach (TakeOutside step in hidden)
        {
            MountEntry found = here.Find(mount => mount.MountPoint == step.Path
                    && (mount.Root, mount.FileSystemType) == step.Hidden && !MountView.IsReachable(mount))
                ?? throw new CheckpointException(
                    $"mount {step.Path} of the tree is one that lies under other mounts outside, and there is none here")
                { Phase = "prepare" };
            wanted.Add((uint)found.Id);
        }

        foreach ((TakeOutside step, (Fd own, Fd slave)) in hidden.Zip(CoveredMounts.CopyHere(here, wanted)))
        {
            Keep(step.Handle, own);
            if (step.Group >= 0)
            {
                Keep(step.Group, slave);
            }
            else
            {
                slave.Dispose();
            }
        }
    }

    private void Open(MountStep step)
    {
        switch (step)
        {
            case TakeOutside { Hidden: null } take:
                Keep(take.Handle, At.AT_FDCWD, take.Path, take, MountFlags.MS_PRIVATE);
                if (take.Group >= 0)
                {
                    Keep(take.Group, At.AT_FDCWD, take.Path, take, MountFlags.None);
                }

                break;
            case CopyTree copy:
                Keep(copy.To, numbers[copy.From], copy.Path, null, MountFlags.MS_PRIVATE);
                break;
        }
    }

    private void Keep(int handle, int directory, string path, TakeOutside? step, MountFlags propagation)
    {
        const int Flags = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC | At.AT_EMPTY_PATH;
        SysResult opened = Sys.OpenTree(directory, path, Flags);
        if (opened.IsError)
        {
            (string what, string option) = step switch
            {
                null => ("a bind mount", "another directory with --root or --external mnt[KEY]:PATH"),
                { MountPoint: "/" } => ("the root (--root)", "another directory with --root"),
                _ => ($"mount {step.MountPoint}, external,", "another path with --external mnt[KEY]:PATH"),
            };
            throw new CheckpointException(
                $"{what} is to be {path}, which can't be opened: {opened.Errno} ({ErrnoText.Describe(opened.Errno)}); put it there, or "
                    + $"name {option}")
            { Phase = "prepare", Errno = opened.Errno };
        }

        Fd tree = Keep(handle, new Fd(opened.Int32));
        if (propagation != MountFlags.None)
        {
            MountAttr attributes = new() { propagation = (ulong)propagation };
            Sys.MountSetAttr(tree.Number, attributes).OrThrow($"mount_setattr({path}, {propagation})");
        }
    }

    private Fd Keep(int handle, Fd opened)
    {
        Fd tree = context.Files.MoveToRegion(opened);
        outside.Add(handle, tree);
        numbers[handle] = tree.Number;
        return tree;
    }

    private Slot Queue(
        RemoteBatch batch, string what, Sysno nr, RemoteArgument a0 = default, RemoteArgument a1 = default, RemoteArgument a2 = default,
        RemoteArgument a3 = default, RemoteArgument a4 = default)
    {
        Slot slot = batch.Call(nr, a0, a1, a2, a3, a4);
        queued.Add((slot, what));
        return slot;
    }

    private RemoteArgument Handle(int handle) => slots[handle] is { } slot ? slot : numbers[handle];

    private void Run(RemoteBatch batch)
    {
        try
        {
            batch.Run("mounts");
        }
        catch (RemoteCallException exception)
        {
            string what = queued.Find(call => call.Slot.Result.IsError).What ?? "a mount";
            throw new CheckpointException($"{what} can't be made in the mount namespace: {exception.Message}", exception)
            {
                Phase = "namespaces",
                Errno = exception.Errno,
            };
        }

        queued.Clear();
        for (int i = 0; i < slots.Length; i++)
        {
            if (slots[i] is { } slot)
            {
                numbers[i] = slot.Int32;
                slots[i] = null;
            }
        }
    }

    private string? FindContent(MakeFileSystem make)
    {
        if (FileSystems.Treat(make.Type) != Treatment.Content)
        {
            return null;
        }

        IEnumerable<string> names =
            [ImageKind.TmpfsDev.FileName(make.Device), .. make.MountIds.Select(id => ImageKind.TmpfsImg.FileName(id))];
        return names.FirstOrDefault(name => File.Exists(Path.Combine(context.Images.Directory, name)));
    }

    private void LoadContents(Remote root, Fd task, List<(MakeFileSystem FileSystem, string Image)> contents)
    {
        int pid = root.Tracee.Tid;
        IdMap users = IdMap.Read(pid, "uid_map");
        IdMap groups = IdMap.Read(pid, "gid_map");
        foreach ((MakeFileSystem fileSystem, string image) in contents)
        {
            using Fd mount = Take(task, numbers[fileSystem.Handle]);
            using FileStream archive = File.OpenRead(Path.Combine(context.Images.Directory, image));

            // Whoever makes a file must have a place in the map of its user namespace. Images may lie where only Firn itself may look.
            using var identity = FileSystemIdentity.Take(users.ToOuter(0), groups.ToOuter(0));
            using var content = new TmpfsContent(users, groups);
            try
            {
                content.Load(mount.Number, archive, image);
            }
            catch (LinuxException exception)
            {
                throw new CheckpointException($"the content of a tmpfs, {image}, can't be put back: {exception.Message}", exception)
                {
                    Phase = "namespaces",
                    Errno = exception.Errno,
                };
            }
        }
    }

    private static Fd Take(Fd task, int number)
        => new(Sys.PidfdGetFd(task.Number, number).OrThrow($"pidfd_getfd(root, {number})").Int32);

    private void CloseAll(RemoteBatch batch)
    {
        foreach (int number in numbers.Where(number => number >= 0).Concat(terminals.Select(terminal => terminal.Slot.Int32)))
        {
            batch.MakeRoom(1, 0, "mounts");
            batch.Call(Sysno.close, number);
        }

        batch.Run("mounts");
        foreach (Fd fd in outside.Values)
        {
            fd.Dispose();
        }

        outside.Clear();
    }
}
