using System.Runtime.InteropServices;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>Sets of semaphores of System V, with their values. sysvipc(7), semctl(2).</summary>
/// <remarks>
/// All with the thread in the ipc namespace. What SEM_UNDO would take back at a task's end can't be seen, and isn't saved.
/// </remarks>
internal static class SystemVSemaphores
{
    private const uint PermissionBits = 0x1ff;

    // ---- dump

    /// <summary>Saves all sets.</summary>
    public static void Dump(DumpContext context, DumpedNamespace own)
    {
        var set = default(Semid64Ds);
        int highest = Sys.SemCtl(0, IpcCommand.SEM_INFO, ref set).OrThrow("semctl(SEM_INFO)").Int32;
        for (int index = 0; index <= highest; index++)
        {
            SysResult found = Sys.SemCtl(index, IpcCommand.SEM_STAT_ANY, ref set);
            if (found.IsError)
            {
                continue;
            }

            ushort[] values = new ushort[set.sem_nsems];
            Sys.SemCtl(found.Int32, IpcCommand.GETALL, values).OrThrow($"semctl({found.Int32}, GETALL)");
            var entry = new IpcSemEntry { Desc = IpcNamespace.Describe(set.sem_perm, found.Int32), Nsems = (uint)values.Length };
            context.Images.Add(ImageKind.IpcnsSem, own.Id, entry, MemoryMarshal.AsBytes<ushort>(values).ToArray());
        }
    }

    // ---- restore

    /// <summary>Makes all sets.</summary>
    public static void Restore(RestoreContext context, RestoredNamespace own)
    {
        foreach (ImageEntry image in context.Images.Entries(ImageKind.IpcnsSem, own.Id))
        {
            var entry = (IpcSemEntry)image.Message;
            IpcNamespace.ChooseNextId("sem", entry.Desc.Id);
            int flags = (int)(IpcFlags.IPC_CREAT | IpcFlags.IPC_EXCL) | (int)(entry.Desc.Mode & PermissionBits);
            int id;
            using (BorrowedIdentity.Of(0, entry.Desc.Cuid, entry.Desc.Cgid))
            {
                id = IpcNamespace.Demand(Sys.SemGet((int)entry.Desc.Key, (int)entry.Nsems, flags), entry.Desc, "semaphore set");
            }

            Span<ushort> values = MemoryMarshal.Cast<byte, ushort>(image.Payload.ToArray().AsSpan());
            Sys.SemCtl(id, IpcCommand.SETALL, values).OrThrow($"semctl({id}, SETALL)");
            var set = new Semid64Ds
            {
                sem_perm = new Ipc64Perm { uid = entry.Desc.Uid, gid = entry.Desc.Gid, mode = entry.Desc.Mode & PermissionBits },
            };
            Sys.SemCtl(id, IpcCommand.IPC_SET, ref set).OrThrow($"semctl({id}, IPC_SET)");
        }
    }
}
