using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Google.Protobuf;

namespace Firn.Engine.Kinds.Files;

/// <content>What waits in a pair.</content>
internal sealed partial class Terminal
{
    /// <summary>How a slave is opened for a look.</summary>
    internal const OpenFlags PeerFlags = OpenFlags.O_RDWR | OpenFlags.O_NOCTTY | OpenFlags.O_NONBLOCK | OpenFlags.O_CLOEXEC;

    // ---- dump

    /// <summary>
    /// Saves what waits in both directions, when the master is saved. Of a pair whose master is outside it is not the tree's.
    /// </summary>
    private static void DumpData(DumpContext context, OpenFile master, TtyInfoEntry info)
    {
        Dumped state = context.Files.State.Get<Dumped>();
        Contents contents = state.Contents ??= LookInto(context);
        info.HungUp = contents.HungUp.Contains(master);
        if (!contents.OfMaster.TryGetValue(master, out TerminalContent content))
        {
            return;
        }

        if (content.MasterStop != TerminalStop.None)
        {
            info.Stopped = (uint)content.MasterStop;
        }

        uint slaveId = info.Id - 1;
        Note(state, slaveId, (uint)content.SlaveStop);
        AddData(context, info.Id, content.Output, 0);
        AddData(context, slaveId, content.Input, content.Unprocessed);
    }

    // All pairs at once, since the tree is to be held meanwhile.
    private static Contents LookInto(DumpContext context)
    {
        List<Fd> opened = [];
        List<OpenFile> masters = [];
        List<TerminalPair> pairs = [];
        var contents = new Contents();
        try
        {
            foreach (OpenFile master in context.Files.Files.Where(file => file is { IsDescriptor: true, IsPathOnly: false }
                && SideOf(file) == Side.Master))
            {
                int fd = master.Taken.Number;
                int slave = FindSlave(context, IndexOf(master))?.Taken.Number ?? -1;
                if (slave < 0)
                {
                    // Never opened, and nothing can have been written by it; or closed: then to open and close it once more changes
                    // nothing.
                    if ((PollOf(fd) & PollEvents.POLLHUP) == 0)
                    {
                        continue;
                    }

                    contents.HungUp.Add(master);
                    if (!IsLocked(fd))
                    {
                        opened.Add(new Fd(Sys.TerminalOpenPeer(fd, PeerFlags).OrThrow($"ioctl({master.Resource}, TIOCGPTPEER)").Int32));
                        slave = opened[^1].Number;
                    }
                }

                if (slave < 0 || !IsKnownEmpty(fd, slave, master.Resource))
                {
                    masters.Add(master);
                    pairs.Add(new TerminalPair(fd, slave, IsPacketMode(fd), master.Resource));
                }
            }

            if (pairs.Count > 0)
            {
                IEnumerable<RemoteProcess> processes = context.Tasks.Select(task => task.Remote).OfType<RemoteProcess>().Distinct();
                foreach ((OpenFile master, TerminalContent content) in masters.Zip(TerminalProcess.LookInto(processes, pairs)))
                {
                    contents.OfMaster.Add(master, content);
                }
            }

            return contents;
        }
        finally
        {
            opened.ForEach(fd => fd.Dispose());
        }
    }

    /// <summary>A process outside of the tree that has the slave, where no task has it; null if it is closed or was never opened.</summary>
    private static int? HolderOutside(DumpContext context, OpenFile master)
    {
        if (FindSlave(context, IndexOf(master)) is not null || (PollOf(master.Taken.Number) & PollEvents.POLLHUP) != 0)
        {
            return null;
        }

        HashSet<int> own = [.. context.Tasks.Select(task => task.Pid), Sys.GetPid()];
        ulong? instance = InstanceOf(context, master);
        List<int> descriptors = [];
        foreach (int pid in ProcessList.Read().Where(pid => !own.Contains(pid)))
        {
            descriptors.Clear();
            if (!FdList.TryRead(pid, descriptors).IsError && descriptors.Exists(fd => IsSlave($"/proc/{pid}/fd/{fd}")))
            {
                return pid;
            }
        }

        return null;

        bool IsSlave(string path)
            => Sys.ReadLink(path, out _)?.EndsWith($"/{IndexOf(master)}", StringComparison.Ordinal) == true
            && !Sys.StatAt(At.AT_FDCWD, path, out FileStat stat).IsError
            && (stat.st_mode & InodeMode.S_IFMT) == InodeMode.S_IFCHR
            && (uint)stat.st_rdev == SlaveDevice(IndexOf(master))
            && (instance is null || stat.st_dev == instance);
    }

    // The devpts in which the slave is: that of the master's own node, or the one beside /dev/ptmx.
    private static ulong? InstanceOf(DumpContext context, OpenFile master)
    {
        if (!Sys.FstatFs(master.Taken.Number, out StatFs fileSystem).IsError && fileSystem.f_type == FileSystemMagic.DEVPTS_SUPER_MAGIC)
        {
            return master.Stat.st_dev;
        }

        string beside = FileName.AsSeenBy(context, master, Path.Combine(Path.GetDirectoryName(master.Link) ?? "/", "pts"));
        return Sys.StatAt(At.AT_FDCWD, beside, out FileStat directory).IsError ? null : directory.st_dev;
    }

    private static void Note(Dumped state, uint slaveId, uint stop)
    {
        if (stop == 0)
        {
            return;
        }

        state.Stops[slaveId] = stop;
        if (state.ById.TryGetValue(slaveId, out TtyInfoEntry? slave))
        {
            slave.Stopped = stop;
        }
    }

    private static void AddData(DumpContext context, uint id, byte[] data, int unprocessed)
    {
        if (data.Length > 0)
        {
            var entry = new TtyDataEntry { TtyId = id, Data = ByteString.CopyFrom(data) };
            if (unprocessed > 0)
            {
                entry.Unprocessed = (uint)unprocessed;
            }

            context.Images.Add(ImageKind.TtyData, 0, entry);
        }
    }

    // In canonical mode a line that is not complete can't be seen; in raw mode, as of shells and editors, nothing has to be touched.
    private static bool IsKnownEmpty(int master, int slave, string name)
        => !Sys.TerminalGet(slave, out Termios2 found).OrThrow($"ioctl({name}, TCGETS2)").IsError
        && (found.c_lflag & TerminalFlags.ICANON) == 0
        && ((PollOf(master) | PollOf(slave)) & PollEvents.POLLIN) == 0
        && Sys.IoctlGet(slave, TerminalIoctl.TIOCINQ, out int waiting) is { IsError: false }
        && waiting == 0
        && TerminalQueues.IsWritable(slave)
        && TerminalQueues.IsWritable(master);

    private static OpenFile? FindSlave(DumpContext context, int index)
        => context.Files.Files.FirstOrDefault(
            file => file is { IsDescriptor: true, IsPathOnly: false } && SideOf(file) == Side.Slave && IndexOf(file) == index);

    private static bool IsLocked(int master)
        => !Sys.IoctlGet(master, TerminalIoctl.TIOCGPTLCK, out int locked).IsError && locked != 0;

    private static bool IsPacketMode(int master) => !Sys.TerminalPacketMode(master, out int packets).IsError && packets != 0;

    // ---- both

    private static PollEvents PollOf(int fd)
    {
        Pollfd[] poll = [new Pollfd { fd = fd, events = PollEvents.POLLIN | PollEvents.POLLPRI }];
        Sys.Poll(poll, 0).OrThrow("poll(terminal)");
        return poll[0].revents;
    }

    // ---- restore

    /// <summary>Gives a pair its settings and all that waits in it: once for both sides.</summary>
    private static void RestorePair(RestoreContext context, Pair pair, TtyInfoEntry? masterInfo, TtyInfoEntry? slaveInfo)
    {
        TtyInfoEntry info = slaveInfo?.Termios is null ? masterInfo ?? slaveInfo! : slaveInfo;
        string name = $"terminal {info.Id}";
        TtyDataEntry? output = FindData(context, masterInfo);
        TtyDataEntry? input = context.Images.All<TtyDataEntry>(ImageKind.TtyData).FirstOrDefault(data => data.TtyId == info.Pty.Index << 1);
        int waiting = input?.Data.Length ?? 0;
        var content = new TerminalContent(
            output?.Data.ToByteArray() ?? [],
            input?.Data.ToByteArray() ?? [],
            (int)Math.Min(input?.Unprocessed ?? 0, (uint)waiting),
            (TerminalStop)(slaveInfo?.Stopped ?? 0),
            (TerminalStop)(masterInfo?.Stopped ?? 0));
        if (slaveInfo is null && masterInfo is { HungUp: false } && content.IsEmpty)
        {
            // A slave that no one has opened stays so; its settings can be had from the master.
            Settle();
            return;
        }

        using var slave = new Fd(
            Sys.TerminalOpenPeer(pair.Master.Number, PeerFlags).OrThrow($"ioctl({name}, TIOCGPTPEER)").Int32);
        using var queues = new TerminalQueues(pair.Master.Number, slave.Number, name);
        queues.Put(content, info.Termios is null ? default : FromEntry(info.Termios), Settle);

        void Settle()
        {
            if (info.Termios is not null)
            {
                RestoreSettings(pair.Master.Number, info);
            }
        }
    }

    private static TtyDataEntry? FindData(RestoreContext context, TtyInfoEntry? info)
        => info is null ? null : context.Images.All<TtyDataEntry>(ImageKind.TtyData).FirstOrDefault(data => data.TtyId == info.Id);

    /// <summary>What waits in the pairs of a tree, by their masters.</summary>
    private sealed class Contents
    {
        /// <summary>Those that are not known to be empty.</summary>
        public Dictionary<OpenFile, TerminalContent> OfMaster { get; } = [];

        /// <summary>Those whose slave was opened, and closed by all.</summary>
        public HashSet<OpenFile> HungUp { get; } = [];
    }
}
