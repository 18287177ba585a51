using System.Runtime.InteropServices;

namespace Firn.Linux.Abi;

/// <summary>Commands of shmctl(2), semctl(2) and msgctl(2).</summary>
public enum IpcCommand
{
    /// <summary>Remove.</summary>
    IPC_RMID = 0,

    /// <summary>Set owner, permissions, and the size of a queue.</summary>
    IPC_SET = 1,

    /// <summary>Look, by id.</summary>
    IPC_STAT = 2,

    /// <summary>Look at the highest index in use (msgctl).</summary>
    MSG_INFO = 12,

    /// <summary>Look, by index and without a right to (msgctl).</summary>
    MSG_STAT_ANY = 13,

    /// <summary>Read all values (semctl).</summary>
    GETALL = 13,

    /// <summary>Look at the highest index in use (shmctl).</summary>
    SHM_INFO = 14,

    /// <summary>Look, by index and without a right to (shmctl).</summary>
    SHM_STAT_ANY = 15,

    /// <summary>Set all values (semctl).</summary>
    SETALL = 17,

    /// <summary>Look at the highest index in use (semctl).</summary>
    SEM_INFO = 19,

    /// <summary>Look, by index and without a right to (semctl).</summary>
    SEM_STAT_ANY = 20,
}

/// <summary>Flags of shmget(2), semget(2), msgget(2), shmat(2) and msgrcv(2).</summary>
[Flags]
public enum IpcFlags
{
    /// <summary>Make it.</summary>
    IPC_CREAT = 0x200,

    /// <summary>It must be new.</summary>
    IPC_EXCL = 0x400,

    /// <summary>Don't wait.</summary>
    IPC_NOWAIT = 0x800,

    /// <summary>Attach for reading (shmat).</summary>
    SHM_RDONLY = 0x1000,

    /// <summary>Cut a message that is too long (msgrcv).</summary>
    MSG_NOERROR = 0x1000,

    /// <summary>Copy the message with an index, and leave it (msgrcv).</summary>
    MSG_COPY = 0x4000,
}

/// <summary>struct ipc64_perm.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Ipc64Perm
{
    /// <summary>The key, or 0 for none.</summary>
    public int key;

    /// <summary>The owner.</summary>
    public uint uid;

    /// <summary>The owner's group.</summary>
    public uint gid;

    /// <summary>The creator.</summary>
    public uint cuid;

    /// <summary>The creator's group.</summary>
    public uint cgid;

    /// <summary>Permissions; of segments also SHM_DEST and SHM_LOCKED.</summary>
    public uint mode;

    /// <summary>Counts how often the index was used.</summary>
    public ushort seq;

    private readonly ushort __pad2;
    private readonly ulong __unused1;
    private readonly ulong __unused2;
}

/// <summary>struct shmid64_ds.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Shmid64Ds
{
    /// <summary>SHM_DEST, in the mode: it goes when the last has detached it.</summary>
    public const uint SHM_DEST = 0x200;

    /// <summary>Key, owner, permissions.</summary>
    public Ipc64Perm shm_perm;

    /// <summary>Its size in bytes.</summary>
    public ulong shm_segsz;

    /// <summary>When it was last attached.</summary>
    public long shm_atime;

    /// <summary>When it was last detached.</summary>
    public long shm_dtime;

    /// <summary>When it was last changed.</summary>
    public long shm_ctime;

    /// <summary>Who made it.</summary>
    public int shm_cpid;

    /// <summary>Who attached or detached it last.</summary>
    public int shm_lpid;

    /// <summary>How often it is attached.</summary>
    public ulong shm_nattch;

    private readonly ulong __unused4;
    private readonly ulong __unused5;
}

/// <summary>struct semid64_ds.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Semid64Ds
{
    /// <summary>Key, owner, permissions.</summary>
    public Ipc64Perm sem_perm;

    /// <summary>When it was last operated on.</summary>
    public long sem_otime;

    private readonly ulong __unused1;

    /// <summary>When it was last changed.</summary>
    public long sem_ctime;

    private readonly ulong __unused2;

    /// <summary>How many semaphores it has.</summary>
    public ulong sem_nsems;

    private readonly ulong __unused3;
    private readonly ulong __unused4;
}

/// <summary>struct msqid64_ds.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct Msqid64Ds
{
    /// <summary>Key, owner, permissions.</summary>
    public Ipc64Perm msg_perm;

    /// <summary>When something was last sent.</summary>
    public long msg_stime;

    /// <summary>When something was last received.</summary>
    public long msg_rtime;

    /// <summary>When it was last changed.</summary>
    public long msg_ctime;

    /// <summary>Bytes in it.</summary>
    public ulong msg_cbytes;

    /// <summary>Messages in it.</summary>
    public ulong msg_qnum;

    /// <summary>Bytes that it may hold.</summary>
    public ulong msg_qbytes;

    /// <summary>Who sent last.</summary>
    public int msg_lspid;

    /// <summary>Who received last.</summary>
    public int msg_lrpid;

    private readonly ulong __unused4;
    private readonly ulong __unused5;
}

/// <summary>struct mq_attr.</summary>
[StructLayout(LayoutKind.Sequential)]
public struct MqAttr
{
    /// <summary>O_NONBLOCK, of a descriptor.</summary>
    public long mq_flags;

    /// <summary>Messages that it may hold.</summary>
    public long mq_maxmsg;

    /// <summary>The size of the largest message.</summary>
    public long mq_msgsize;

    /// <summary>Messages in it.</summary>
    public long mq_curmsgs;

    private readonly long __reserved0;
    private readonly long __reserved1;
    private readonly long __reserved2;
    private readonly long __reserved3;
}
