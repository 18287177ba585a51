using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Tracing;

/// <summary>Keeps the stops of tracees from sending SIGCHLD to Firn, whose threads would each be interrupted; the end of a child still does.</summary>
/// <remarks>sigaction(2), SA_NOCLDSTOP; kernel/signal.c, do_notify_parent_cldstop().</remarks>
internal readonly ref struct QuietStops
{
    private const ulong SA_NOCLDSTOP = 1;

    private readonly KernelSigaction before;

    private QuietStops(KernelSigaction before) => this.before = before;

    /// <summary>Begins; disposing ends it.</summary>
    public static QuietStops Begin()
    {
        Sys.GetSignalAction(Signal.SIGCHLD, out KernelSigaction before).OrThrow("rt_sigaction(SIGCHLD)");
        KernelSigaction quiet = before;
        quiet.sa_flags |= SA_NOCLDSTOP;
        Sys.SetSignalAction(Signal.SIGCHLD, quiet).OrThrow("rt_sigaction(SIGCHLD, SA_NOCLDSTOP)");
        return new QuietStops(before);
    }

    /// <summary>Ends it.</summary>
    public void Dispose() => _ = Sys.SetSignalAction(Signal.SIGCHLD, before);
}
