using Firn.Engine;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Rpc.Messages;
using Microsoft.Extensions.Logging;

namespace Firn.Rpc;

/// <summary>One conversation with a client: `swrk`, or one connection of a service.</summary>
/// <remarks>
/// A client that sends what is no request is left without an answer, as CRIU does; whatever else goes wrong is answered. Standard input,
/// output and error are never touched: they may be those of the container that is restored.
/// </remarks>
public sealed class Conversation
{
    private const int MajorVersion = 4;
    private const int MinorVersion = 2;
    private const uint MostPids = 1 << 22;

    private readonly PacketSocket socket;
    private readonly IRequestHost host;
    private readonly bool isService;
    private readonly int descriptor;

    private Conversation(int descriptor, IRequestHost host, bool isService)
    {
        this.descriptor = descriptor;
        this.host = host;
        this.isService = isService;
        socket = new PacketSocket(descriptor);
    }

    /// <summary>Serves requests until the conversation is over.</summary>
    /// <param name="descriptor">The socket: AF_UNIX, SOCK_SEQPACKET. It stays open.</param>
    /// <param name="host">Who knows options and logs.</param>
    /// <param name="isService">Whether the client has connected to a service, instead of having started this program.</param>
    /// <returns>The exit status: 0 if the last request was served well.</returns>
    public static int Run(int descriptor, IRequestHost host, bool isService) => new Conversation(descriptor, host, isService).Run();

    private int Run()
    {
        bool success = false;
        bool isFirst = true;
        while (true)
        {
            if (socket.ReceiveRequest() is not { } request)
            {
                // A client that was served and closes is at its end.
                return isFirst || !success ? 1 : 0;
            }

            isFirst = false;
            if (isService && !ClientRights.AreEnough(descriptor))
            {
                _ = Fail(
                    request.Type,
                    new RequestException(
                        "a service does only what its client has the rights for; connect as the user of the service", Errno.EPERM));
                return 1;
            }

            if (request.KeepOpen && !Requests.MayKeepOpen(request.Type))
            {
                return 1;
            }

            success = Serve(request);
            if (!request.KeepOpen)
            {
                return success ? 0 : 1;
            }
        }
    }

    private bool Serve(Request request)
    {
        try
        {
            return request.Type switch
            {
                RequestType.Version => Reply(new Reply
                {
                    Version = new ProgramVersion { MajorNumber = MajorVersion, MinorNumber = MinorVersion },
                }),
                RequestType.Check => Check(),
                RequestType.FeatureCheck => CheckFeatures(request),
                RequestType.Dump => Dump(request.Opts),
                RequestType.Restore => Restore(request.Opts),
                RequestType.CpuinfoDump or RequestType.CpuinfoCheck => Processor(request),
                RequestType.WaitPid => WaitFor(request),
                RequestType.PreDump or RequestType.SinglePreDump => Refuse(
                    "pre-dump takes the tracking of written memory, which this version does not do; dump at once instead"),
                RequestType.PageServer or RequestType.PageServerChld => Refuse(
                    "there is no page server in this version; dump into a directory, and copy that"),
                RequestType.Notify => Unexpected("a notification was answered that was not sent"),
                _ => Unexpected($"{(int)request.Type} is no type of a request"),
            };

            bool Reply(Reply reply) => Answer(request.Type, reply);
            bool Refuse(string sentence) => Fail(request.Type, new RequestException(sentence, Errno.EOPNOTSUPP));
        }
        catch (Exception exception)
        {
            // A mistake in Firn: the client learns of it, and goes on.
            return Fail(request.Type, exception);
        }
    }

    private bool Check()
    {
        IEnumerable<string> missing = Checkpointer.CheckKernel()
            .Where(feature => feature.Need == FeatureNeed.Required && !feature.Supported)
            .Select(feature => feature.Name);
        string names = string.Join(", ", missing);
        return names.Length == 0
            ? Answer(RequestType.Check, new Reply())
            : Fail(
                RequestType.Check,
                new RequestException($"this kernel lacks {names}; `firn check` says what they are for", Errno.EOPNOTSUPP));
    }

    // What Firn itself does not use it does not have, whatever the kernel offers: a client would ask for it next.
    private bool CheckFeatures(Request request)
        => request.Features is null
            ? Unexpected("FEATURE_CHECK without features")
            : Answer(
                RequestType.FeatureCheck,
                new Reply { Features = new Features { MemTrack = false, LazyPages = false, PidfdStore = false } });

    private bool Dump(Opts? opts)
    {
        if (opts is null)
        {
            return Unexpected("DUMP without options");
        }

        int caller = socket.Peer().pid;
        bool isSelf = !opts.HasPid;
        IRequestWork? work = null;
        try
        {
            List<RequestOption> options = OptionsFromRequest.Read(opts, caller, isService);
            options.Add(new("tree", $"{(isSelf ? caller : opts.Pid)}"));
            work = Open("dump", options, opts);
            DumpOptions asked = work.DumpOptions with { ServiceSocket = isSelf ? InodeOfSocket() : 0 };
            DumpResult result = Checkpointer.Dump(
                opts.NotifyScripts ? asked with { Hooks = [new Notifier(socket), .. asked.Hooks] } : asked, work.Log);
            WriteStatistics(work, () => Statistics.Write(result, work.WorkDirectory));
            work.Log.LogInformation("Dumping finished successfully");

            // A caller that was dumped and is gone hears nothing: once restored, it finds its answer.
            return (isSelf && !asked.LeaveRunning && !asked.LeaveStopped)
                || Answer(RequestType.Dump, new Reply { Dump = new DumpReply { Restored = false } }, work);
        }
        catch (Exception exception)
        {
            return Fail(RequestType.Dump, exception, work, reply => reply.Dump = new DumpReply { Restored = false });
        }
        finally
        {
            work?.Dispose();
        }
    }

    private bool Restore(Opts? opts)
    {
        if (opts is null)
        {
            return Unexpected("RESTORE without options");
        }

        IRequestWork? work = null;
        try
        {
            List<RequestOption> options = OptionsFromRequest.Read(opts, socket.Peer().pid, isService);
            options.Add(new("restore-detached"));
            work = Open("restore", options, opts);
            RestoreOptions asked = work.RestoreOptions;
            RestoreResult result = Checkpointer.Restore(
                opts.NotifyScripts ? asked with { Hooks = [new Notifier(socket), .. asked.Hooks] } : asked, work.Log);
            WriteStatistics(work, () => Statistics.Write(result, work.WorkDirectory));
            work.Log.LogInformation("Restore finished successfully. Tasks resumed.");
            bool answered = Answer(RequestType.Restore, new Reply { Restore = new RestoreReply { Pid = result.RootPid } }, work);
            if (opts.ExecCmd.Count > 0)
            {
                work.Execute(opts.ExecCmd);
                return false;
            }

            return answered;
        }
        catch (Exception exception)
        {
            return Fail(RequestType.Restore, exception, work, reply => reply.Restore = new RestoreReply { Pid = -1 });
        }
        finally
        {
            work?.Dispose();
        }
    }

    private bool Processor(Request request)
    {
        if (request.Opts is not { } opts)
        {
            return Unexpected("CPUINFO without options");
        }

        IRequestWork? work = null;
        try
        {
            work = Open("cpuinfo", OptionsFromRequest.Read(opts, socket.Peer().pid, isService), opts);
            string directory = work.RestoreOptions.ImagesDirectory;
            if (request.Type == RequestType.CpuinfoDump)
            {
                ProcessorImage.Write(directory);
            }
            else if (ProcessorImage.Missing(directory) is { Count: > 0 } missing)
            {
                throw new RequestException(
                    $"this processor is not one that the images can be restored on: {string.Join(", ", missing)}", Errno.EOPNOTSUPP);
            }

            return Answer(request.Type, new Reply(), work);
        }
        catch (Exception exception)
        {
            return Fail(request.Type, exception, work);
        }
        finally
        {
            work?.Dispose();
        }
    }

    private bool WaitFor(Request request)
    {
        // One process of its own, not any of a group.
        if (request.Pid is 0 or > MostPids)
        {
            return Unexpected($"{request.Pid} is no pid");
        }

        SysResult waited = Sys.Wait4((int)request.Pid, out int status, 0);
        while (waited.Errno == Errno.EINTR)
        {
            waited = Sys.Wait4((int)request.Pid, out status, 0);
        }

        return waited.IsError
            ? Fail(RequestType.WaitPid, new RequestException($"{request.Pid} is no page server of this conversation", waited.Errno))
            : Answer(RequestType.WaitPid, new Reply { Status = status });
    }

    private IRequestWork Open(string verb, List<RequestOption> options, Opts opts)
        => host.Open(verb, options, opts.HasConfigFile ? opts.ConfigFile : null);

    private ulong InodeOfSocket()
    {
        Sys.Fstat(descriptor, out FileStat stat).OrThrow($"fstat({descriptor})");
        return stat.st_ino;
    }

    private static void WriteStatistics(IRequestWork work, Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The dump or restore is done by then.
            work.Fail(exception);
        }
    }

    private bool Answer(RequestType type, Reply reply, IRequestWork? work = null)
    {
        reply.Type = type;
        reply.Success = true;
        if (work?.FirstError is { } error)
        {
            reply.CrErrmsg = error;
        }

        return socket.Send(reply);
    }

    private bool Unexpected(string why) => Fail(RequestType.Empty, new RequestException(why));

    private bool Fail(RequestType type, Exception exception, IRequestWork? work = null, Action<Reply>? complete = null)
    {
        work?.Fail(exception);
        var reply = new Reply
        {
            Type = type,
            Success = false,
            CrErrmsg = work?.FirstError ?? $"Error (firn/rpc): {exception.Message}\n",
        };
        Errno errno = exception switch
        {
            RequestException request => request.Errno,
            RestoreConflictException { Errno: Errno.None, Pid: > 0 } => Errno.EEXIST,
            CheckpointException checkpoint => checkpoint.Errno,
            LinuxException linux => linux.Errno,
            _ => Errno.None,
        };
        if (errno != Errno.None)
        {
            reply.CrErrno = (int)errno;
        }

        complete?.Invoke(reply);
        _ = socket.Send(reply);
        return false;
    }
}
