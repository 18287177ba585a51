using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Events;

/// <summary>Descriptors that Firn knows by name and can't save: each is refused with what the user can do.</summary>
internal sealed class UnsupportedFile : FileKind
{
    private const string CloseIt = "let the program close it before the dump";

    private static readonly (string Name, string What, string Reason, string Remedy)[] Anonymous =
    [
        ("[userfaultfd]", "userfaultfd", "the ranges that it watches are not shown by the kernel", CloseIt),
        ("[perf_event]", "perf event", "its counters belong to the hardware", "stop profiling before the dump"),
        ("bpf-prog", "BPF program", "the kernel doesn't give it back as it was loaded", "load it again after the restore"),
        ("bpf_link", "BPF link", "the kernel doesn't give it back as it was made", "attach it again after the restore"),
        ("btf", "BPF type information", "the kernel doesn't give it back as it was loaded", "load it again after the restore"),
        (
            "seccomp notify",
            "seccomp listener",
            "the calls that wait for its answer can't be saved",
            "dump the supervised program without its supervisor"),
        ("[landlock-ruleset]", "landlock ruleset", "its rules can't be read", CloseIt),
        ("[fscontext]", "file system context", "its parameters can't be read", CloseIt),
        ("kvm-vm", "KVM machine", "a virtual machine is saved by its own monitor", "use the monitor's snapshot"),
        ("sync_file", "graphics fence", "it belongs to a device", CloseIt),
    ];

    private static readonly (SocketFamily Family, string What, string Reason, string Remedy)[] Families =
    [
        (SocketFamily.AF_VSOCK, "vsock socket", "the kernel shows nothing of it", CloseIt),
        (SocketFamily.AF_XDP, "XDP socket", "its rings belong to a device", CloseIt),
        (SocketFamily.AF_ALG, "crypto socket", "its key can't be read", CloseIt),
    ];

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Und;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file) => Describe(file) is not null;

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        (string identifier, string what, string reason, string remedy) = Describe(file)!.Value;
        context.Problems.Add(identifier, file.Owner.Pid, $"fd {file.Number}: {what}", reason, remedy);
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
        => throw new InvalidOperationException($"pid {file.Owner.Pid} fd {file.Number} was refused, and is dumped all the same");

    private static (string Identifier, string What, string Reason, string Remedy)? Describe(OpenFile file)
    {
        foreach ((string name, string what, string reason, string remedy) in Anonymous)
        {
            if (file.IsAnonymousInode(name))
            {
                return (Identifier(what), what, reason, remedy);
            }
        }

        // The kinds of socket that Firn saves have been asked before.
        if (Sockets.SocketTables.IsSocket(file))
        {
            SocketFamily family = Sockets.SocketTables.FamilyOf(file);
            foreach ((SocketFamily refused, string what, string reason, string remedy) in Families)
            {
                if (family == refused)
                {
                    return (Identifier(what), what, reason, remedy);
                }
            }

            return ("socket-family", $"socket of the address family {family}", "Firn doesn't know it", CloseIt);
        }

        return null;
    }

    private static string Identifier(string what)
        => what.Replace(' ', '-').Replace('_', '-').ToLowerInvariant();

    // ---- restore

    /// <inheritdoc/>
    public override Fd? Create(RestoreContext context, FileEntry entry)
        => throw new ImageFormatException("files.img", 0, "file-type", $"file {entry.Id} has no type");
}
