using Firn.Engine.Tree;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;

namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <content>The system calls of each step.</content>
internal sealed partial class MountTree
{
    private const int MostBytesOfStep = 3 * 4096;
    private const int MostCallsOfStep = 40;

    private void QueueStep(RemoteBatch batch, MountStep step)
    {
        if (IsOfHost(step))
        {
            return;
        }

        int more = step is OpenTerminals { Indexes.Max: int index } ? 2 * index : 0;
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
                string path = PathOf(copy);
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
            case NewNamespace:
                Queue(batch, "a mount namespace", Sysno.unshare, (long)CloneFlags.CLONE_NEWNS);
                Queue(batch, "the old tree", Sysno.mount, 0, batch.Text("/"), 0, (uint)(MountFlags.MS_REC | MountFlags.MS_PRIVATE), 0);
                break;
            case OpenNamespace open:
                const int ForReading = (int)(OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
                slots[open.Handle] = Queue(
                    batch, "the way into a mount namespace", Sysno.openat, Handle(open.Proc), batch.Text("thread-self/ns/mnt"), ForReading);
                break;
            case JoinNamespace join:
                Queue(batch, "the way into a mount namespace", Sysno.setns, Handle(join.Namespace), (int)CloneFlags.CLONE_NEWNS);
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

    private string PathOf(CopyTree copy)
        => plan.Sources.OfType<MakeFileSystem>().FirstOrDefault(make => make.Handle == copy.From) is { Type: "cgroup" or "cgroup2" } made
            ? cgroups!.Find(made.Options, copy.Path)
            : copy.Path;

    private void QueueFileSystem(RemoteBatch batch, MakeFileSystem make)
    {
        string what = $"a file system of type {make.Type}";
        Slot? home = null;
        if (ShownBy(make) is { } shown)
        {
            const int ForReading = (int)(OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
            RemoteBuffer here = batch.Text($"/proc/thread-self/ns/{shown.Kind.Name}");
            home = Queue(batch, what, Sysno.openat, At.AT_FDCWD, here, ForReading);
            Queue(batch, what, Sysno.setns, shown.NumberInFirst, (int)shown.Kind.Flag);
        }

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
        if (home is not null)
        {
            Queue(batch, what, Sysno.setns, home, 0);
            Queue(batch, what, Sysno.close, home);
        }
    }

    // Some show a namespace of who has mounted them: where they are mounted in a nested mount namespace alone, that of its tasks.
    private RestoredNamespace? ShownBy(MakeFileSystem make)
    {
        CloneFlags flag = make.Type switch
        {
            "sysfs" => CloneFlags.CLONE_NEWNET,
            "mqueue" => CloneFlags.CLONE_NEWIPC,
            _ => 0,
        };
        RestoredNamespace?[] places = [.. make.MountIds.Select(id => NestedNamespaces.OfMount(context, (int)id)).Distinct()];
        return flag != 0 && places is [{ } place]
            && context.Tasks.Find(task => !task.IsZombie && task.Ids.MntNsId == place.Id) is { } task
            && NamespaceKinds.All.First(kind => kind.Flag == flag) is { } kind
            && NestedNamespaces.Find(context, flag, kind.GetId(task.Ids)) is { NumberInFirst: >= 0 } shown ? shown : null;
    }

    // Some options would change what all others see too; some only the first mount of all may give.
    private string OptionsOf(MakeFileSystem make)
    {
        switch (make.Type)
        {
            case "devpts":
                return string.Join(',', make.Options.Split(',').Where(word => word != "newinstance"));
            case "cgroup":
                return string.Join(
                    ',', make.Options.Split(',').Where(word => !word.StartsWith("release_agent=", StringComparison.Ordinal)));
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
        for (int i = 0; i <= open.Indexes.Max; i++)
        {
            opened.Add(Queue(
                batch,
                $"terminal {i}",
                Sysno.openat,
                Handle(open.DevPts),
                batch.Text("ptmx"),
                (int)(OpenFlags.O_RDWR | OpenFlags.O_NOCTTY | OpenFlags.O_CLOEXEC)));
        }

        for (int i = 0; i < opened.Count; i++)
        {
            if (open.Indexes.Contains(i))
            {
                terminals.Add((i, opened[i]));
            }
            else
            {
                batch.Call(Sysno.close, opened[i]);
            }
        }
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
}
