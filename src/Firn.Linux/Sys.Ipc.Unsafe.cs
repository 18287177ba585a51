using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

// SAFETY, of all that follows: the kernel reads and writes what it is given during the call alone, and no more than the structure of the
// command, or the lengths that go with a pointer.
public static unsafe partial class Sys
{
    private const int MessageTypeSize = sizeof(long);

    /// <summary>shmget(2).</summary>
    public static SysResult ShmGet(int key, ulong size, int flags) => Kernel.Call(Sysno.shmget, key, (nint)size, flags);

    /// <summary>shmctl(2).</summary>
    public static SysResult ShmCtl(int id, IpcCommand command, ref Shmid64Ds data)
    {
        fixed (Shmid64Ds* pointer = &data)
        {
            return Kernel.Call(Sysno.shmctl, id, (nint)command, (nint)pointer);
        }
    }

    /// <summary>shmat(2) at a place of the kernel's choice.</summary>
    public static SysResult ShmAt(int id, IpcFlags flags) => Kernel.Call(Sysno.shmat, id, 0, (nint)flags);

    /// <summary>shmdt(2).</summary>
    public static SysResult ShmDt(nint address) => Kernel.Call(Sysno.shmdt, address);

    /// <summary>semget(2).</summary>
    public static SysResult SemGet(int key, int count, int flags) => Kernel.Call(Sysno.semget, key, count, flags);

    /// <summary>semctl(2) with a structure.</summary>
    public static SysResult SemCtl(int id, IpcCommand command, ref Semid64Ds data)
    {
        fixed (Semid64Ds* pointer = &data)
        {
            return Kernel.Call(Sysno.semctl, id, 0, (nint)command, (nint)pointer);
        }
    }

    /// <summary>semctl(2) with the values of all semaphores.</summary>
    public static SysResult SemCtl(int id, IpcCommand command, Span<ushort> values)
    {
        fixed (ushort* pointer = values)
        {
            return Kernel.Call(Sysno.semctl, id, 0, (nint)command, (nint)pointer);
        }
    }

    /// <summary>msgget(2).</summary>
    public static SysResult MsgGet(int key, int flags) => Kernel.Call(Sysno.msgget, key, flags);

    /// <summary>msgctl(2).</summary>
    public static SysResult MsgCtl(int id, IpcCommand command, ref Msqid64Ds data)
    {
        fixed (Msqid64Ds* pointer = &data)
        {
            return Kernel.Call(Sysno.msgctl, id, (nint)command, (nint)pointer);
        }
    }

    /// <summary>msgrcv(2) with MSG_COPY: a copy of the message with an index, which stays in the queue.</summary>
    /// <param name="id">The queue.</param>
    /// <param name="index">The index, from 0.</param>
    /// <param name="buffer">Room for 8 bytes more than the message has.</param>
    /// <param name="type">The message's type.</param>
    /// <param name="data">The message, within the buffer.</param>
    /// <returns>The length of the message; -ENOMSG when there are no more.</returns>
    public static SysResult MsgPeek(int id, int index, Span<byte> buffer, out long type, out ReadOnlySpan<byte> data)
    {
        fixed (byte* pointer = buffer)
        {
            SysResult result = Kernel.Call(
                Sysno.msgrcv,
                id,
                (nint)pointer,
                buffer.Length - MessageTypeSize,
                index,
                (nint)(IpcFlags.MSG_COPY | IpcFlags.IPC_NOWAIT | IpcFlags.MSG_NOERROR));
            type = result.IsError ? 0 : MemoryMarshal.Read<long>(buffer);
            data = result.IsError ? default : buffer.Slice(MessageTypeSize, result.Int32);
            return result;
        }
    }

    /// <summary>msgsnd(2) without waiting.</summary>
    public static SysResult MsgSend(int id, long type, ReadOnlySpan<byte> data)
    {
        byte[] buffer = new byte[MessageTypeSize + data.Length];
        MemoryMarshal.Write(buffer, in type);
        data.CopyTo(buffer.AsSpan(MessageTypeSize));
        fixed (byte* pointer = buffer)
        {
            return Kernel.Call(Sysno.msgsnd, id, (nint)pointer, data.Length, (nint)IpcFlags.IPC_NOWAIT);
        }
    }

    /// <summary>mq_unlink(2) in the calling thread's ipc namespace.</summary>
    /// <param name="name">Its name, with or without the slash.</param>
    public static SysResult MqUnlink(string name)
    {
        byte* text = stackalloc byte[PathMax];
        return Terminate(name.TrimStart('/'), text) ? Kernel.Call(Sysno.mq_unlink, (nint)text) : TooLong;
    }

    /// <summary>mq_open(2) in the calling thread's ipc namespace.</summary>
    /// <param name="name">Its name, with or without the slash.</param>
    /// <param name="flags">O_*.</param>
    /// <param name="mode">Permissions of a new one.</param>
    /// <param name="attributes">The room of a new one.</param>
    public static SysResult MqOpen(string name, OpenFlags flags, uint mode, in MqAttr attributes)
    {
        byte* text = stackalloc byte[PathMax];
        fixed (MqAttr* pointer = &attributes)
        {
            // The system call wants it without; the slash is of libc's making.
            return Terminate(name.TrimStart('/'), text)
                ? Kernel.Call(Sysno.mq_open, (nint)text, (nint)flags, (nint)mode, (nint)pointer)
                : TooLong;
        }
    }

    /// <summary>mq_getattr(3).</summary>
    public static SysResult MqGetAttributes(int queue, out MqAttr attributes)
    {
        fixed (MqAttr* pointer = &attributes)
        {
            *pointer = default;
            return Kernel.Call(Sysno.mq_getsetattr, queue, 0, (nint)pointer);
        }
    }

    /// <summary>mq_send(2).</summary>
    public static SysResult MqSend(int queue, ReadOnlySpan<byte> data, uint priority)
    {
        fixed (byte* pointer = data)
        {
            return Kernel.Call(Sysno.mq_timedsend, queue, (nint)pointer, data.Length, (nint)priority, 0);
        }
    }

    /// <summary>A file system of the calling thread's namespaces, mounted nowhere: fsopen(2), fsconfig(2), fsmount(2).</summary>
    /// <param name="type">Its type, as in /proc/filesystems; it takes no option.</param>
    /// <returns>A descriptor of its root.</returns>
    public static SysResult MountDetached(string type)
    {
        const int CloseOnExec = 1;
        const int Create = 6;
        byte* text = stackalloc byte[PathMax];
        SysResult context = Terminate(type, text) ? Kernel.Call(Sysno.fsopen, (nint)text, CloseOnExec) : TooLong;
        if (context.IsError)
        {
            return context;
        }

        using var fd = new Fd(context.Int32);
        SysResult made = Kernel.Call(Sysno.fsconfig, fd.Number, Create, 0, 0, 0);
        return made.IsError ? made : Kernel.Call(Sysno.fsmount, fd.Number, CloseOnExec, 0);
    }
}
