using Firn.Engine.Kinds;
using Firn.Engine.Kinds.Sockets;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Tracing;

namespace Firn.Engine.Restoring;

/// <summary>The stage in which the root's own namespaces are made and filled, before there is any open file and any other task.</summary>
internal static class NamespaceStage
{
    // NS_GET_NSTYPE (ioctl_ns(2)).
    private const uint NamespaceType = 0xb703;

    // Those that Firn's thread goes into itself to fill them.
    private const CloneFlags FilledFromWithin = CloneFlags.CLONE_NEWNET | CloneFlags.CLONE_NEWIPC | CloneFlags.CLONE_NEWUTS;

    /// <summary>Finds out which namespaces the root gets instead of Firn's.</summary>
    public static List<RestoredNamespace> Plan(RestoreOptions options, LoadedImages images, List<RestoredTask> tasks)
    {
        List<RestoredNamespace> namespaces = [];
        TaskKobjIdsEntry dumper = images.One<InventoryEntry>(ImageKind.Inventory).RootIds ?? new TaskKobjIdsEntry();
        RestoredTask root = tasks[0];
        bool hasPids = IsOwn(root.Ids.PidNsId, dumper.PidNsId);
        foreach (NamespaceKind kind in NamespaceKinds.All)
        {
            uint id = kind.GetId(root.Ids);
            bool isOwn = IsOwn(id, kind.GetId(dumper));
            if (options.JoinedNamespaces.LastOrDefault(joined => joined.Name == kind.Name) is { } joined)
            {
                namespaces.Add(new RestoredNamespace { Kind = kind, Id = isOwn ? id : 0, JoinedPath = joined.Path });
                continue;
            }

            bool isAdded = !isOwn && !hasPids && options.NewPidNamespace && (kind.Flag & AddedNamespaces.Flags) != 0;
            if (isOwn || isAdded)
            {
                namespaces.Add(new RestoredNamespace { Kind = kind, Id = isOwn ? id : 0, IsAdded = isAdded });
            }
        }

        // A container's clocks go on from where they stood, as with CRIU: those of a tree without a time namespace are in image 0.
        if (hasPids
            && !IsOwn(root.Ids.TimeNsId, dumper.TimeNsId)
            && !namespaces.Exists(own => own.Kind.Flag == CloneFlags.CLONE_NEWTIME)
            && images.Entries(ImageKind.Timens).Count > 0)
        {
            NamespaceKind time = NamespaceKinds.All.First(kind => kind.Flag == CloneFlags.CLONE_NEWTIME);
            namespaces.Insert(
                namespaces.TakeWhile(own => (own.Kind.Flag & (CloneFlags.CLONE_NEWUSER | CloneFlags.CLONE_NEWPID)) != 0).Count(),
                new RestoredNamespace { Kind = time, Id = 0 });
        }

        return namespaces;

        // 0: of a kernel, or a program, that did not know of this kind.
        static bool IsOwn(uint id, uint dumper) => id != 0 && id != dumper;
    }

    /// <summary>What comes before the root.</summary>
    public static void Prepare(RestoreContext context)
    {
        foreach (RestoredNamespace own in context.Namespaces.Where(own => own.JoinedPath is not null))
        {
            own.Joined = context.Files.MoveToRegion(OpenJoined(own));
        }

        Saved(context).ForEach(own => own.Kind.BeforeRoot(context, own));
        NestedStage.Prepare(context);
    }

    /// <summary>The flags by which the root's clone3(2) makes its namespaces.</summary>
    public static CloneFlags MadeByClone(RestoreContext context)
        => context.Namespaces.Where(own => own.Kind.IsMadeByClone && own.Joined is null)
            .Aggregate((CloneFlags)0, (flags, own) => flags | own.Kind.Flag);

    /// <summary>What comes before the root executes.</summary>
    public static void BeforeExec(RestoreContext context, int root)
        => Saved(context).ForEach(own => own.Kind.BeforeExec(context, own, root));

    /// <summary>Joins, makes and fills the namespaces, by the first task.</summary>
    public static void Fill(RestoreContext context, GrowingTree tree)
    {
        Remote first = tree.First;
        foreach (RestoredNamespace own in context.Namespaces.Where(own => own.Joined is not null))
        {
            first.Batch.Call(Sysno.setns, own.Joined!.Number, (int)own.Kind.Flag);
            first.Batch.Run($"join the {own.Kind.Name} namespace");
        }

        if (context.Namespaces.Exists(own => own.IsAdded))
        {
            AddedNamespaces.Fill(context, first);
        }

        foreach (NamespaceKind kind in NamespaceKinds.All)
        {
            if (Saved(context).Find(own => own.Kind == kind) is { } own)
            {
                own.Kind.InRoot(context, own, first);
                using NamespaceVisit visit = context.Visit(first, FilledFromWithin);
                if (own.Kind.Flag == CloneFlags.CLONE_NEWNET)
                {
                    // Before anything can reach it: a packet for a connection that isn't there yet would be answered with its end.
                    context.Files.State.Get<RestoredConnections>().Lock(context, 0);
                }

                own.Kind.ByController(context, own);
            }

            NestedStage.Make(context, kind, tree);
        }

        NestedStage.Forget(context, first);
    }

    /// <summary>What comes when all tasks have their state.</summary>
    public static void Finish(RestoreContext context, Remote first)
    {
        Saved(context).ForEach(own => own.Kind.Finish(context, own, first));
        foreach (RestoredNamespace own in context.Nested.Where(own => !own.IsFirns))
        {
            own.Kind.Finish(context, own, first);
        }
    }

    private static List<RestoredNamespace> Saved(RestoreContext context) => context.Namespaces.FindAll(own => own.IsFromImages);

    private static Fd OpenJoined(RestoredNamespace own)
    {
        Fd file;
        try
        {
            file = Sys.Open(own.JoinedPath!, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
        }
        catch (LinuxException exception)
        {
            throw new CheckpointException(
                $"the {own.Kind.Name} namespace to join can't be opened: {exception.Message}; name that of a process that runs",
                exception)
            {
                Phase = "prepare",
                Errno = exception.Errno,
            };
        }

        SysResult type = Sys.Ioctl(file.Number, NamespaceType);
        if (type.IsError || (CloneFlags)type.Int32 != own.Kind.Flag)
        {
            file.Dispose();
            throw new CheckpointException($"{own.JoinedPath}, which --join-ns names, is no {own.Kind.Name} namespace")
            {
                Phase = "prepare",
            };
        }

        return file;
    }
}
