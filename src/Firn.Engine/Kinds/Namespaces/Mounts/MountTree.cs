using Firn.Engine.Restoring;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Makes a mount tree as planned: by the root task itself, in one batch, or in two where there is content to be put in.</summary>
/// <remarks>
/// The task makes the file systems, so that they belong to its namespaces; Firn opens what lies outside. open_tree(2), fsopen(2),
/// fsmount(2), move_mount(2), mount_setattr(2), pivot_root(2). To copy what is mounted nowhere takes Linux 6.15.
/// </remarks>
internal sealed class MountTree : IDisposable
{
    private const int MostBytesOfStep = 3 * 4096;
    private const int MostCallsOfStep = 40;

    private readonly RestoreContext context;
    private readonly MountPlan plan;
    private readonly int[] numbers;
    private readonly Slot?[] slots;
    private readonly Dictionary<int, Fd> outside = [];
    private readonly List<(Slot Slot, string What)> queued = [];
    private readonly List<(int Index, Slot Slot)> terminals = [];
    private readonly List<MakeFileSystem> readOnly = [];
    private CgroupRoots cgroups = null!;

    private MountTree(RestoreContext context, MountPlan plan)
    {
        this.context = context;
        this.plan = plan;
        numbers = new int[plan.HandleCount];
        slots = new Slot?[plan.HandleCount];
        Array.Fill(numbers, -1);
    }

    /// <summary>A proc file system of the tree's pid namespace that can be written to, whatever its mounts allow. Known after the restore.</summary>
    public Fd? Proc { get; private set; }

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
            foreach (MountStep step in plan.Outsiders)
            {
                tree.Open(step);
            }
        }
        catch
        {
            tree.Dispose();
            throw;
        }

        return tree;
    }

    /// <summary>Makes the tree in the namespace of a task, which must be its own.</summary>
    /// <exception cref="CheckpointException">A mount can't be made.</exception>
    public void Restore(Remote root)
    {
        cgroups = new CgroupRoots(context, root.Tracee.Tid);
        RemoteBatch batch = root.Batch;
        Queue(batch, "the old tree", Sysno.mount, 0, batch.Text("/"), 0, (uint)(MountFlags.MS_REC | MountFlags.MS_SLAVE), 0);
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
        Proc = Take(task, numbers[plan.ProcHandle]);
        foreach ((int index, Slot slot) in terminals)
        {
            Terminals.Add(index, Take(task, slot.Int32));
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

    private void Open(MountStep step)
    {
        switch (step)
        {
            case TakeOutside take:
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
                $"{what} is to be {path}, which can't be opened: {opened.Errno} ({ErrnoText.Describe(opened.Errno)}); put it there, or name "
                    + option)
            { Phase = "prepare", Errno = opened.Errno };
        }

        Fd tree = context.Files.MoveToRegion(new Fd(opened.Int32));
        outside.Add(handle, tree);
        numbers[handle] = tree.Number;
        if (propagation != MountFlags.None)
        {
            MountAttr attributes = new() { propagation = (ulong)propagation };
            Sys.MountSetAttr(tree.Number, attributes).OrThrow($"mount_setattr({path}, {propagation})");
        }
    }

    private void QueueStep(RemoteBatch batch, MountStep step)
    {
        int more = step is OpenTerminals { Index: int index } ? 2 * index : 0;
        if (!batch.HasRoom(MostCallsOfStep + more, MostBytesOfStep + (16 * more)))
        {
            Run(batch);
        }

        switch (step)
        {
            case MakeFileSystem make:
                QueueFileSystem(batch, make);
                break;
            case CopyTree copy:
                const int Flags = MountCall.OPEN_TREE_CLONE | MountCall.OPEN_TREE_CLOEXEC | At.AT_EMPTY_PATH;
                string path = plan.Sources.OfType<MakeFileSystem>().FirstOrDefault(make => make.Handle == copy.From) is
                    { Type: "cgroup" or "cgroup2" } hierarchy
                    ? cgroups.Find(hierarchy.Options, copy.Path)
                    : copy.Path;
                slots[copy.To] = Queue(batch, $"a bind mount of {path}", Sysno.open_tree, Handle(copy.From), batch.Text(path), Flags);
                break;
            case OpenTerminals open:
                QueueTerminals(batch, open);
                break;
            case SetAttributes set:
                QueueAttributes(
                    batch,
                    set.Mount,
                    new MountAttr { attr_set = (ulong)set.Attributes, attr_clr = (ulong)MountText.AllAttributes },
                    $"attributes {set.Attributes}");
                break;
            case Attach attach:
                Queue(
                    batch,
                    $"a mount at {attach.Path} of its parent",
                    Sysno.move_mount,
                    Handle(attach.Mount),
                    batch.Text(string.Empty),
                    Handle(attach.Parent),
                    batch.Text(attach.Path),
                    MountCall.MOVE_MOUNT_F_EMPTY_PATH | (attach.Path.Length == 0 ? MountCall.MOVE_MOUNT_T_EMPTY_PATH : 0));
                break;
            case MountRoot mount:
                Queue(
                    batch,
                    "the root",
                    Sysno.move_mount,
                    Handle(mount.Mount),
                    batch.Text(string.Empty),
                    At.AT_FDCWD,
                    batch.Text("/"),
                    MountCall.MOVE_MOUNT_F_EMPTY_PATH);
                break;
            case EnterRoot enter:
                QueueRoot(batch, enter.Mount);
                break;
            case JoinGroup join:
                const int Join = MountCall.MOVE_MOUNT_SET_GROUP | MountCall.MOVE_MOUNT_F_EMPTY_PATH | MountCall.MOVE_MOUNT_T_EMPTY_PATH;
                RemoteBuffer empty = batch.Text(string.Empty);
                if (join.MayFail)
                {
                    batch.Try(Sysno.move_mount, Handle(join.From), empty, Handle(join.Mount), empty, Join);
                }
                else
                {
                    Queue(batch, "a peer group", Sysno.move_mount, Handle(join.From), empty, Handle(join.Mount), empty, Join);
                }

                break;
            case SetPropagation propagate:
                QueueAttributes(
                    batch, propagate.Mount, new MountAttr { propagation = (ulong)propagate.Propagation }, $"{propagate.Propagation}");
                break;
        }
    }

    private void QueueFileSystem(RemoteBatch batch, MakeFileSystem make)
    {
        string what = $"a file system of type {make.Type}";
        Slot fs = Queue(batch, what, Sysno.fsopen, batch.Text(make.Type), MountCall.FSOPEN_CLOEXEC);
        if (make.Source.Length > 0)
        {
            Configure(batch, what, fs, FsConfigCommand.FSCONFIG_SET_STRING, "source", make.Source);
        }

        // What is in it comes first; then nothing more may be written.
        MountFlags flags = make.Flags;
        if (FileSystems.Treat(make.Type) == Treatment.Content && (flags & MountFlags.MS_RDONLY) != 0)
        {
            flags &= ~MountFlags.MS_RDONLY;
            readOnly.Add(make);
        }

        foreach (string word in MountText.WordsOfFileSystem(flags))
        {
            Configure(batch, $"{what} with option {word}", fs, FsConfigCommand.FSCONFIG_SET_FLAG, word, null);
        }

        foreach ((string key, string? value) in MountText.Split(OptionsOf(make)))
        {
            Configure(
                batch,
                $"{what} with option {key}{(value is null ? string.Empty : "=" + value)}",
                fs,
                value is null ? FsConfigCommand.FSCONFIG_SET_FLAG : FsConfigCommand.FSCONFIG_SET_STRING,
                key,
                value);
        }

        Queue(batch, what, Sysno.fsconfig, fs, (int)FsConfigCommand.FSCONFIG_CMD_CREATE, 0, 0, 0);
        slots[make.Handle] = Queue(batch, what, Sysno.fsmount, fs, MountCall.FSMOUNT_CLOEXEC, (ulong)make.Attributes);
        Queue(batch, what, Sysno.close, fs);
    }

    // Some options would change what all others see too; some only the first mount of all may give.
    private string OptionsOf(MakeFileSystem make)
    {
        switch (make.Type)
        {
            case "devpts":
                return string.Join(',', make.Options.Split(',').Where(word => word != "newinstance"));
            case "cgroup":
                return string.Join(',', make.Options.Split(',').Where(word => !word.StartsWith("release_agent=", StringComparison.Ordinal)));
            case "cgroup2":
                MountEntry? here = context.OwnNamespace(CloneFlags.CLONE_NEWCGROUP) is null
                    ? MountInfo.Read(Sys.GetPid()).Find(mount => mount.FileSystemType == "cgroup2")
                    : null;
                _ = MountText.FlagsOfFileSystem(here?.SuperOptions ?? string.Empty, out string ofType);
                return ofType;
            default:
                return FileSystems.Treat(make.Type) == Treatment.FreshForHost ? string.Empty : make.Options;
        }
    }

    private void Configure(RemoteBatch batch, string what, Slot fs, FsConfigCommand command, string key, string? value)
        => Queue(batch, what, Sysno.fsconfig, fs, (int)command, batch.Text(key), value is null ? 0 : batch.Text(value), 0);

    // The lowest free index is the next one's: those below are opened too, and closed again.
    private void QueueTerminals(RemoteBatch batch, OpenTerminals open)
    {
        List<Slot> opened = [];
        for (int i = 0; i <= open.Index; i++)
        {
            opened.Add(Queue(
                batch,
                $"terminal {i}",
                Sysno.openat,
                Handle(open.DevPts),
                batch.Text("ptmx"),
                (int)(OpenFlags.O_RDWR | OpenFlags.O_NOCTTY | OpenFlags.O_CLOEXEC)));
        }

        foreach (Slot slot in opened.SkipLast(1))
        {
            batch.Call(Sysno.close, slot);
        }

        terminals.Add((open.Index, opened[^1]));
    }

    private void QueueReadOnly(RemoteBatch batch, MakeFileSystem make)
    {
        string what = $"a file system of type {make.Type}, read-only";
        Slot fs = Queue(
            batch,
            what,
            Sysno.fspick,
            Handle(make.Handle),
            batch.Text(string.Empty),
            MountCall.FSPICK_CLOEXEC | MountCall.FSPICK_EMPTY_PATH);
        Configure(batch, what, fs, FsConfigCommand.FSCONFIG_SET_FLAG, "ro", null);
        Queue(batch, what, Sysno.fsconfig, fs, (int)FsConfigCommand.FSCONFIG_CMD_RECONFIGURE, 0, 0, 0);
        Queue(batch, what, Sysno.close, fs);
    }

    private void QueueAttributes(RemoteBatch batch, int mount, in MountAttr attributes, string what)
        => Queue(
            batch,
            what,
            Sysno.mount_setattr,
            Handle(mount),
            batch.Text(string.Empty),
            At.AT_EMPTY_PATH,
            batch.Data(attributes),
            System.Runtime.CompilerServices.Unsafe.SizeOf<MountAttr>());

    // Both are exchanged by pivot_root(2) with the same directory twice, and the old one, on top now, is taken off.
    private void QueueRoot(RemoteBatch batch, int mount)
    {
        const string What = "the root";
        RemoteBuffer dot = batch.Text(".");
        Queue(batch, What, Sysno.fchdir, Handle(mount));
        Queue(batch, What, Sysno.pivot_root, dot, dot);
        Queue(batch, What, Sysno.umount2, dot, MountCall.MNT_DETACH);
        Queue(batch, What, Sysno.chdir, batch.Text("/"));
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

        IEnumerable<string> names = [ImageKind.TmpfsDev.FileName(make.Device), .. make.MountIds.Select(id => ImageKind.TmpfsImg.FileName(id))];
        return names.FirstOrDefault(name => File.Exists(Path.Combine(context.Images.Directory, name)));
    }

    private void LoadContents(Remote root, Fd task, List<(MakeFileSystem FileSystem, string Image)> contents)
    {
        int pid = root.Tracee.Tid;
        IdMap users = IdMap.Read(pid, "uid_map");
        IdMap groups = IdMap.Read(pid, "gid_map");

        // Whoever makes a file must have a place in the map of its user namespace.
        using var identity = FileSystemIdentity.Take(users.ToOuter(0), groups.ToOuter(0));
        foreach ((MakeFileSystem fileSystem, string image) in contents)
        {
            using Fd mount = Take(task, numbers[fileSystem.Handle]);
            using FileStream archive = File.OpenRead(Path.Combine(context.Images.Directory, image));
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
