using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>Message queues of System V, with their messages. sysvipc(7), msgctl(2).</summary>
/// <remarks>All with the thread in the ipc namespace. Messages are copied, and stay in the queue (MSG_COPY).</remarks>
internal static class SystemVMessages
{
    private const uint PermissionBits = 0x1ff;

    // ---- dump

    /// <summary>Saves all queues.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own)
    {
        var queue = default(Msqid64Ds);
        int highest = Sys.MsgCtl(0, IpcCommand.MSG_INFO, ref queue).OrThrow("msgctl(MSG_INFO)").Int32;
        for (int index = 0; index <= highest; index++)
        {
            SysResult found = Sys.MsgCtl(index, IpcCommand.MSG_STAT_ANY, ref queue);
            if (!found.IsError)
            {
                Dump(context, own, found.Int32, queue);
            }
        }
    }

    // ---- restore

    /// <summary>Makes all queues.</summary>
    public static void Restore(RestoreContext context, RestoredNamespace own)
    {
        int id = 0;
        foreach (ImageEntry image in context.Images.Entries(ImageKind.IpcnsMsg, own.Id))
        {
            switch (image.Message)
            {
                case IpcMsgEntry entry:
                    id = Make(entry);
                    break;
                case IpcMsg message:
                    Sys.MsgSend(id, (long)message.Mtype, image.Payload.Span).OrThrow($"msgsnd({id}, {message.Msize} bytes)");
                    break;
            }
        }
    }

    private static void Dump(DumpContext context, DumpedNamespace own, int id, in Msqid64Ds queue)
    {
        context.Images.Add(
            ImageKind.IpcnsMsg,
            own.Id,
            new IpcMsgEntry
            {
                Desc = IpcNamespace.Describe(queue.msg_perm, id),
                Qbytes = (uint)queue.msg_qbytes,
                Qnum = (uint)queue.msg_qnum,
            });
        byte[] buffer = new byte[queue.msg_cbytes + sizeof(long)];
        for (int i = 0; i < (int)queue.msg_qnum; i++)
        {
            Sys.MsgPeek(id, i, buffer, out long type, out ReadOnlySpan<byte> data).OrThrow($"msgrcv({id}, {i}, MSG_COPY)");
            context.Images.Add(
                ImageKind.IpcnsMsg, own.Id, new IpcMsg { Mtype = (ulong)type, Msize = (uint)data.Length }, data.ToArray());
        }
    }

    private static int Make(IpcMsgEntry entry)
    {
        IpcNamespace.ChooseNextId("msg", entry.Desc.Id);
        int flags = (int)(IpcFlags.IPC_CREAT | IpcFlags.IPC_EXCL) | (int)(entry.Desc.Mode & PermissionBits);
        int id;
        using (BorrowedIdentity.Of(0, entry.Desc.Cuid, entry.Desc.Cgid))
        {
            id = IpcNamespace.Demand(Sys.MsgGet((int)entry.Desc.Key, flags), entry.Desc, "message queue");
        }

        var queue = new Msqid64Ds
        {
            msg_perm = new Ipc64Perm { uid = entry.Desc.Uid, gid = entry.Desc.Gid, mode = entry.Desc.Mode & PermissionBits },
            msg_qbytes = entry.Qbytes,
        };
        Sys.MsgCtl(id, IpcCommand.IPC_SET, ref queue).OrThrow($"msgctl({id}, IPC_SET)");
        return id;
    }
}
