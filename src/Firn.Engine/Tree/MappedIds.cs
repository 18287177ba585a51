using Firn.Images;
using Firn.Linux.Abi;
using Google.Protobuf;
using Google.Protobuf.Collections;

namespace Firn.Engine.Tree;

/// <summary>User and group ids in messages: images hold those of the tree's user namespace, Firn sees and sets those of its own.</summary>
/// <param name="users">The map of users.</param>
/// <param name="groups">The map of groups.</param>
internal sealed class MappedIds(IdMap users, IdMap groups)
{
    private const uint Unset = uint.MaxValue;

    /// <summary>The user as Firn sees it.</summary>
    public uint OuterUser(uint inner) => users.ToOuter(inner);

    /// <summary>The group as Firn sees it.</summary>
    public uint OuterGroup(uint inner) => groups.ToOuter(inner);

    /// <summary>At the end of a dump: what was read from outside becomes what it is inside. Nothing to do without a namespace.</summary>
    public static void MapDump(DumpContext context)
    {
        if (OfTree(context) is not { } ids)
        {
            return;
        }

        HashSet<IMessage> seen = new(ReferenceEqualityComparer.Instance);
        foreach ((ImageKind kind, _, IReadOnlyList<ImageEntry> entries) in context.Images.Files)
        {
            foreach (ImageEntry entry in entries)
            {
                if (entry.Message is CoreEntry core)
                {
                    ids.MapCore(core);
                }
                else
                {
                    Map(entry.Message, ids.InnerUser, ids.InnerGroup, seen);
                }
            }
        }
    }

    /// <summary>The ids of the tree's own user namespace, for as long as it has a task; null without one.</summary>
    public static MappedIds? OfTree(DumpContext context)
    {
        DumpedNamespace own = context.Namespace(CloneFlags.CLONE_NEWUSER);
        return own.IsFirns ? null : new MappedIds(IdMap.Read(own.Member.Pid, "uid_map"), IdMap.Read(own.Member.Pid, "gid_map"));
    }

    /// <summary>The same for a message that is saved after that.</summary>
    public void MapLate(IMessage message)
        => Map(message, InnerUser, InnerGroup, new HashSet<IMessage>(ReferenceEqualityComparer.Instance));

    /// <summary>In a restore: what Firn itself sets becomes what it is outside. Not credentials, which tasks set.</summary>
    public void MapRestored(IMessage message)
        => Map(message, OuterUser, OuterGroup, new HashSet<IMessage>(ReferenceEqualityComparer.Instance));

    /// <summary>Credentials that were read from outside become what they are inside.</summary>
    public void MapCredentials(CredsEntry credentials)
    {
        credentials.Uid = InnerUser(credentials.Uid);
        credentials.Euid = InnerUser(credentials.Euid);
        credentials.Suid = InnerUser(credentials.Suid);
        credentials.Fsuid = InnerUser(credentials.Fsuid);
        credentials.Gid = InnerGroup(credentials.Gid);
        credentials.Egid = InnerGroup(credentials.Egid);
        credentials.Sgid = InnerGroup(credentials.Sgid);
        credentials.Fsgid = InnerGroup(credentials.Fsgid);
        RepeatedField<uint> supplementary = credentials.Groups;
        for (int i = 0; i < supplementary.Count; i++)
        {
            supplementary[i] = InnerGroup(supplementary[i]);
        }
    }

    private uint InnerUser(uint outer) => users.ToInner(outer);

    private uint InnerGroup(uint outer) => groups.ToInner(outer);

    private void MapCore(CoreEntry core)
    {
        if (core.ThreadCore?.Creds is { } credentials)
        {
            MapCredentials(credentials);
        }

        if (core.Tc is { HasLoginuid: true } task && task.Loginuid != Unset)
        {
            task.Loginuid = InnerUser(task.Loginuid);
        }
    }

    private static void Map(IMessage message, Func<uint, uint> user, Func<uint, uint> group, HashSet<IMessage> seen)
    {
        switch (message)
        {
            case FileEntry file:
                MapFile(file, user, group, seen);
                break;
            case SkPacketEntry { Credentials: { } sender }:
                (sender.Uid, sender.Gid) = (user(sender.Uid), group(sender.Gid));
                break;
            case GhostFileEntry ghost:
                (ghost.Uid, ghost.Gid) = (user(ghost.Uid), group(ghost.Gid));
                break;
            case MemfdInodeEntry memfd:
                (memfd.Uid, memfd.Gid) = (user(memfd.Uid), group(memfd.Gid));
                break;
            case TtyInfoEntry { HasUid: true } terminal:
                (terminal.Uid, terminal.Gid) = (user(terminal.Uid), group(terminal.Gid));
                break;
            case IpcVarEntry limits:
                foreach (PosixQueueEntry queue in limits.PosixQueues)
                {
                    (queue.Uid, queue.Gid) = (user(queue.Uid), group(queue.Gid));
                }

                break;
            case IpcShmEntry segment:
                MapObject(segment.Desc, user, group);
                break;
            case IpcSemEntry set:
                MapObject(set.Desc, user, group);
                break;
            case IpcMsgEntry queue:
                MapObject(queue.Desc, user, group);
                break;
        }
    }

    private static void MapFile(FileEntry file, Func<uint, uint> user, Func<uint, uint> group, HashSet<IMessage> seen)
    {
        ReadOnlySpan<FownEntry?> owners =
        [
            file.Reg?.Fown, file.Pipe?.Fown, file.Isk?.Fown, file.Usk?.Fown, file.Efd?.Fown, file.Epfd?.Fown, file.Ify?.Fown,
            file.Ffy?.Fown,
            file.Sgfd?.Fown, file.Tty?.Fown, file.Nlsk?.Fown, file.Tfd?.Fown, file.Memfd?.Fown, file.Pidfd?.Fown,
        ];

        // Two entries may have one owner's message between them: a terminal and its path.
        foreach (FownEntry? owner in owners)
        {
            if (owner is not null && owner.Pid != 0 && seen.Add(owner))
            {
                (owner.Uid, owner.Euid) = (user(owner.Uid), user(owner.Euid));
            }
        }

        if (file.Usk?.PeerCredentials is { } peer)
        {
            (peer.Uid, peer.Gid) = (user(peer.Uid), group(peer.Gid));
        }

        if (file.Pipe is { HasUid: true } pipe)
        {
            (pipe.Uid, pipe.Gid) = (user(pipe.Uid), group(pipe.Gid));
        }

        if (file.Reg?.UnlinkedQueue is { } queue)
        {
            (queue.Uid, queue.Gid) = (user(queue.Uid), group(queue.Gid));
        }

        if (file.Usk?.FilePerms is { } permissions)
        {
            (permissions.Uid, permissions.Gid) = (user(permissions.Uid), group(permissions.Gid));
        }
    }

    private static void MapObject(IpcDescEntry described, Func<uint, uint> user, Func<uint, uint> group)
    {
        (described.Uid, described.Gid) = (user(described.Uid), group(described.Gid));
        (described.Cuid, described.Cgid) = (user(described.Cuid), group(described.Cgid));
    }
}
