using System.Globalization;
using Firn.Engine.Kinds.Tasks;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;
using Firn.Tracing;
using Microsoft.Extensions.Logging;

namespace Firn.Engine.Kinds.Namespaces;

/// <summary>An ipc namespace: limits, objects of System V, POSIX message queues. ipc_namespaces(7), sysvipc(7), mq_overview(7).</summary>
/// <remarks>
/// A thread that has entered it does nearly all by plain calls; /proc/sys shows it its limits. The objects are <see cref="SystemVMemory"/>,
/// <see cref="SystemVSemaphores"/>, <see cref="SystemVMessages"/> and <see cref="PosixQueues"/>.
/// </remarks>
internal sealed class IpcNamespace : NamespaceKind
{
    private const string Kernel = "/proc/sys/kernel/";
    private const string MessageQueues = "/proc/sys/fs/mqueue/";

    /// <inheritdoc/>
    public override string Name => "ipc";

    /// <inheritdoc/>
    public override CloneFlags Flag => CloneFlags.CLONE_NEWIPC;

    /// <inheritdoc/>
    public override ulong Inode(NamespaceIds ids) => ids.Ipc;

    /// <inheritdoc/>
    public override uint GetId(TaskKobjIdsEntry ids) => ids.IpcNsId;

    /// <inheritdoc/>
    public override void SetId(TaskKobjIdsEntry ids, uint id) => ids.IpcNsId = id;

    /// <inheritdoc/>
    public override bool CanBeNested => true;

    // ---- dump

    /// <inheritdoc/>
    public override void Examine(DumpContext context, DumpedNamespace own)
    {
        using NamespaceVisit visit = own.Visit();
        PosixQueues.Examine(context, own);
        if (own.IsNested && SystemVMemory.Exists())
        {
            context.Problems.Add(
                "nested-segments",
                own.Member.Pid,
                $"ipc namespace {own.Inode}",
                "it has System V segments, and those of another ipc namespace than that of the tree's root can't be saved yet",
                "let the program remove them before the dump, or dump the inner tree by itself");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, DumpedNamespace own)
    {
        using NamespaceVisit visit = own.Visit();
        IpcVarEntry limits = ReadLimits();
        PosixQueues.Dump(context, own, limits);
        context.Images.Add(ImageKind.IpcVar, own.Id, limits);
        if (!own.IsNested)
        {
            SystemVMemory.Dump(context, own);
        }

        SystemVSemaphores.Dump(context, own);
        SystemVMessages.Dump(context, own);
    }

    // ---- restore

    /// <inheritdoc/>
    public override void BeforeRoot(RestoreContext context, RestoredNamespace own)
    {
        if (!context.Nested.Contains(own))
        {
            SystemVMemory.Resolve(context, own.Id);
        }
    }

    /// <inheritdoc/>
    public override void ByController(RestoreContext context, RestoredNamespace own)
    {
        foreach (IpcVarEntry limits in context.Images.All<IpcVarEntry>(ImageKind.IpcVar, own.Id))
        {
            // Of a namespace that a user namespace owns, the limits are its root's to set.
            using (BorrowedIdentity.Of(0, context.Images.Ids?.OuterUser(0) ?? 0))
            {
                WriteLimits(context, limits);
            }

            PosixQueues.Restore(limits);
        }

        if (!context.Nested.Contains(own))
        {
            SystemVMemory.Restore(context, own);
        }

        SystemVSemaphores.Restore(context, own);
        SystemVMessages.Restore(context, own);
    }

    /// <inheritdoc/>
    public override void Finish(RestoreContext context, RestoredNamespace own, Remote root)
    {
        if (!context.Nested.Contains(own) && SystemVMemory.HasVanishing(context))
        {
            using NamespaceVisit visit = context.Visit(root, Flag);
            SystemVMemory.Vanish(context);
        }
    }

    /// <summary>Says which id the next object of a kind shall have; it holds for one.</summary>
    /// <param name="kind">shm, sem or msg.</param>
    /// <param name="id">The id.</param>
    internal static void ChooseNextId(string kind, uint id)
        => ProcValue.Write($"{Kernel}{kind}_next_id", id).OrThrow($"write({kind}_next_id, {id})");

    /// <summary>Key, owners and permissions as images have them.</summary>
    internal static IpcDescEntry Describe(in Ipc64Perm permissions, int id) => new()
    {
        Key = (uint)permissions.key,
        Uid = permissions.uid,
        Gid = permissions.gid,
        Cuid = permissions.cuid,
        Cgid = permissions.cgid,
        Mode = permissions.mode,
        Id = (uint)id,
    };

    /// <summary>An object was made; it must have its old id.</summary>
    /// <exception cref="CheckpointException">It has another.</exception>
    internal static int Demand(SysResult made, IpcDescEntry wanted, string what)
    {
        int id = made.OrThrow($"{what} of key 0x{wanted.Key:x}").Int32;
        return id == (int)wanted.Id
            ? id
            : throw new CheckpointException($"{what} {wanted.Id} got the id {id}; the image set names an id that can't be")
            {
                Phase = "namespaces",
            };
    }

    private static IpcVarEntry ReadLimits()
    {
        var limits = new IpcVarEntry
        {
            MsgCtlmax = (uint)Number(Kernel + "msgmax"),
            MsgCtlmnb = (uint)Number(Kernel + "msgmnb"),
            MsgCtlmni = (uint)Number(Kernel + "msgmni"),
            AutoMsgmni = (uint)Number(Kernel + "auto_msgmni"),
            ShmCtlmax = Number(Kernel + "shmmax"),
            ShmCtlall = Number(Kernel + "shmall"),
            ShmCtlmni = (uint)Number(Kernel + "shmmni"),
            ShmRmidForced = (uint)Number(Kernel + "shm_rmid_forced"),
            MqQueuesMax = (uint)Number(MessageQueues + "queues_max"),
            MqMsgMax = (uint)Number(MessageQueues + "msg_max"),
            MqMsgsizeMax = (uint)Number(MessageQueues + "msgsize_max"),
            MqMsgDefault = (uint)Number(MessageQueues + "msg_default"),
            MqMsgsizeDefault = (uint)Number(MessageQueues + "msgsize_default"),
        };
        foreach (string number in (ProcValue.ReadText(Kernel + "sem") ?? string.Empty).Split('\t', StringSplitOptions.RemoveEmptyEntries))
        {
            limits.SemCtls.Add(uint.Parse(number, CultureInfo.InvariantCulture));
        }

        return limits;
    }

    private static void WriteLimits(RestoreContext context, IpcVarEntry limits)
    {
        Write(context, Kernel + "msgmax", limits.MsgCtlmax);
        Write(context, Kernel + "msgmnb", limits.MsgCtlmnb);
        Write(context, Kernel + "msgmni", limits.MsgCtlmni);
        Write(context, Kernel + "shmmax", limits.ShmCtlmax);
        Write(context, Kernel + "shmall", limits.ShmCtlall);
        Write(context, Kernel + "shmmni", limits.ShmCtlmni);
        Write(context, Kernel + "shm_rmid_forced", limits.ShmRmidForced);
        Write(context, MessageQueues + "queues_max", limits.MqQueuesMax);
        Write(context, MessageQueues + "msg_max", limits.MqMsgMax);
        Write(context, MessageQueues + "msgsize_max", limits.MqMsgsizeMax);
        if (limits.HasMqMsgDefault && limits.HasMqMsgsizeDefault)
        {
            Write(context, MessageQueues + "msg_default", limits.MqMsgDefault);
            Write(context, MessageQueues + "msgsize_default", limits.MqMsgsizeDefault);
        }

        if (limits.SemCtls.Count > 0)
        {
            Write(context, Kernel + "sem", string.Join(' ', limits.SemCtls));
        }
    }

    // Each that differs: a limit that the kernel doesn't allow any more is no reason to fail, so long as it was the default.
    private static void Write(RestoreContext context, string path, ulong value)
        => Write(context, path, value.ToString(CultureInfo.InvariantCulture));

    private static void Write(RestoreContext context, string path, string value)
    {
        if (ProcValue.ReadText(path)?.Replace('\t', ' ') == value)
        {
            return;
        }

        SysResult written = ProcValue.Write(path, value);
        if (written.IsError)
        {
            context.Log.LogWarning("{Path} could not be set to {Value}: {Errno}", path, value, written.Errno);
        }
    }

    private static ulong Number(string path)
        => ulong.TryParse(ProcValue.ReadText(path), NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number : 0;
}
