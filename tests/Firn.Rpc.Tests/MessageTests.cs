using System.Text.Json;
using Firn.Engine.Hooks;
using Firn.Rpc.Messages;
using Google.Protobuf;
using Google.Protobuf.Reflection;

namespace Firn.Rpc.Tests;

/// <summary>Firn's messages are the ones that engines and CRIU exchange, byte for byte and field for field.</summary>
public sealed class MessageTests
{
    public static TheoryData<string> Recorded => [.. Fixture.All.Select(fixture => fixture.Name)];

    [Theory]
    [MemberData(nameof(Recorded))]
    public void Every_recorded_packet_is_read_whole_and_written_again(string name)
    {
        foreach (Packet packet in Find(name).Packets)
        {
            IMessage message = packet.IsFromClient ? Request.Parser.ParseFrom(packet.Bytes) : Reply.Parser.ParseFrom(packet.Bytes);
            Assert.Equal(packet.Bytes, message.ToByteArray());
            Compare(packet.Message, message, name);
            Assert.True(message is not Request request || Requests.IsWhole(request));
        }
    }

    [Theory]
    [MemberData(nameof(Recorded))]
    public void Every_option_of_a_recorded_request_has_a_name_on_the_command_line(string name)
    {
        IEnumerable<Request> requests = Find(name).Requests.Select(packet => Request.Parser.ParseFrom(packet.Bytes));
        foreach (Request request in requests.Where(one => one.Opts is not null))
        {
            // The directories are those of the process that made the recording.
            Opts opts = request.Opts;
            opts.ImagesDirFd = -1;
            opts.ImagesDir = "/";
            opts.ClearWorkDirFd();
            List<RequestOption> options = OptionsFromRequest.Read(opts, Environment.ProcessId, isService: false);
            Assert.Equal("images-dir", options[0].Name);
            Assert.Equal(opts.ExtMnt.Count + opts.External.Count + opts.Veths.Count, options.Count(option => option.Name == "external"));
            Assert.Equal(opts.CgRoot.Count, options.Count(option => option.Name == "cgroup-root"));
            Assert.Equal(opts.InheritFd.Count, options.Count(option => option.Name == "inherit-fd"));
            Assert.Equal(opts.HasLeaveRunning, options.Exists(option => option.Name == "leave-running"));
        }
    }

    [Theory]
    [InlineData("080a", "VERSION")]
    [InlineData("08092a020801", "FEATURE_CHECK")]
    [InlineData("08061801", "NOTIFY")]
    public void Requests_of_the_samples(string hex, string type)
    {
        Request request = Request.Parser.ParseFrom(Convert.FromHexString(hex));
        Assert.True(Requests.IsWhole(request));
        Assert.Equal(type, OriginalName(request.Type));
        Assert.Equal(type == "FEATURE_CHECK", request.Features?.MemTrack ?? false);
        Assert.Equal(type == "NOTIFY", request.NotifySuccess);
    }

    [Fact]
    public void Replies_of_the_samples()
    {
        MustBe("080a100152 0408041002", new Reply
        {
            Type = RequestType.Version,
            Success = true,
            Version = new ProgramVersion { MajorNumber = 4, MinorNumber = 2 },
        });
        MustBe("080610012a0a0a087072652d64756d70", new Reply
        {
            Type = RequestType.Notify,
            Success = true,
            Notify = new Notification { Script = HookNames.PreDump },
        });
        MustBe("0802100122 02082a", new Reply { Type = RequestType.Restore, Success = true, Restore = new RestoreReply { Pid = 42 } });
        MustBe("080110003803", new Reply { Type = RequestType.Dump, Success = false, CrErrno = 3 });
    }

    [Fact]
    public void The_options_mean_what_they_mean_on_the_command_line()
    {
        var opts = new Opts
        {
            ImagesDirFd = -1,
            ImagesDir = "/images",
            LogLevel = 4,
            LogFile = "dump.log",
            TcpEstablished = false,
            ShellJob = true,
            EmptyNs = 0x4000_0000,
            ManageCgroups = true,
            ManageCgroupsMode = CgroupMode.Full,
            NetworkLock = NetworkLockMethod.Nftables,
            GhostLimit = 4096,
            ExtMnt = { new MountMap { Key = "/etc/hosts", Val = "hosts" } },
            CgRoot =
            {
                new CgroupRoot { Ctrl = "name=systemd", Path = "/a" }, new CgroupRoot { Ctrl = "", Path = "/b" },
                new CgroupRoot { Path = "/c" },
            },
            JoinNs = { new JoinNamespace { Ns = "user", NsFile = "/proc/1/ns/user", ExtraOpt = "0,0" } },
            InheritFd = { new InheritedFd { Key = "pipe:[7]", Fd = 0 } },
            UnixSkIno = { new UnixSocketInode { Inode = 99 } },
        };
        Assert.Equal(
            [
                new("images-dir", "/images"), new("log-file", "dump.log"), new("verbosity", "4"), new("tcp-established", IsOff: true),
                new("shell-job"), new("ghost-limit", "4096"), new("network-lock", "nftables"), new("empty-ns", "net"),
                new("external", "mnt[/etc/hosts]:hosts"), new("ext-unix-sk", "99"), new("join-ns", "user:/proc/1/ns/user,0,0"),
                new("inherit-fd", "fd[0]:pipe:[7]"), new("manage-cgroups", "full"), new("cgroup-root", "name=systemd:/a"),
                new("cgroup-root", ":/b"), new("cgroup-root", "/c"),
            ],
            OptionsFromRequest.Read(opts, Environment.ProcessId, isService: false));
    }

    [Theory]
    [InlineData("a/b")]
    [InlineData("")]
    public void A_log_outside_of_the_work_directory_is_refused(string name)
    {
        var opts = new Opts { ImagesDirFd = -1, ImagesDir = "/", LogFile = name };
        Assert.Contains(
            "without a slash",
            Assert.Throws<RequestException>(() => OptionsFromRequest.Read(opts, Environment.ProcessId, isService: false)).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void What_is_for_swrk_alone_is_refused_by_a_service()
    {
        foreach (Opts opts in new Opts[]
        {
            new() { ImagesDirFd = -1, ImagesDir = "/", RstSibling = true },
            new() { ImagesDirFd = -1, ImagesDir = "/", InheritFd = { new InheritedFd { Key = "a", Fd = 1 } } },
            new() { ImagesDirFd = -1, ImagesDir = "/", Ps = new PageServerInfo { Fd = 3 } },
        })
        {
            Assert.Throws<RequestException>(() => OptionsFromRequest.Read(opts, Environment.ProcessId, isService: true));
            Assert.NotEmpty(OptionsFromRequest.Read(opts, Environment.ProcessId, isService: false));
        }
    }

    [Fact]
    public void A_directory_of_the_client_is_named_by_its_path()
    {
        string directory = Directory.CreateTempSubdirectory("firn-rpc-").FullName;
        try
        {
            using var open = new Firn.Linux.Fd(Firn.Linux.Sys.Open(directory, Firn.Linux.Abi.OpenFlags.O_RDONLY).Release());
            var opts = new Opts { ImagesDirFd = open.Number, WorkDirFd = open.Number };
            Assert.Equal(
                [new("images-dir", directory), new("work-dir", directory)],
                OptionsFromRequest.Read(opts, Environment.ProcessId, isService: false));
            opts.ImagesDirFd = 1 << 20;
            Assert.Equal(
                Firn.Linux.Abi.Errno.ENOENT,
                Assert.Throws<RequestException>(() => OptionsFromRequest.Read(opts, Environment.ProcessId, isService: false)).Errno);
        }
        finally
        {
            Directory.Delete(directory);
        }
    }

    private static Fixture Find(string name) => Fixture.All.Single(fixture => fixture.Name == name);

    private static void MustBe(string hex, Reply reply)
        => Assert.Equal(hex.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexStringLower(reply.ToByteArray()));

    private static string OriginalName(RequestType type)
        => RpcReflection.Descriptor.EnumTypes.Single(one => one.Name == nameof(RequestType)).FindValueByNumber((int)type).Name;

    // Each field that others have decoded is the same here, and there is none that they haven't seen.
    private static void Compare(JsonElement expected, IMessage message, string path)
    {
        foreach (JsonProperty property in expected.EnumerateObject())
        {
            FieldDescriptor field = message.Descriptor.FindFieldByName(property.Name)
                ?? throw new InvalidOperationException($"{path}.{property.Name} is no field");
            object value = field.Accessor.GetValue(message);
            if (field.IsRepeated)
            {
                List<object> list = [.. ((System.Collections.IList)value).Cast<object>()];
                Assert.Equal(property.Value.GetArrayLength(), list.Count);
                foreach ((JsonElement one, object other) in property.Value.EnumerateArray().Zip(list))
                {
                    CompareValue(one, field, other, $"{path}.{property.Name}");
                }
            }
            else
            {
                CompareValue(property.Value, field, value, $"{path}.{property.Name}");
            }
        }
    }

    private static void CompareValue(JsonElement expected, FieldDescriptor field, object value, string path)
    {
        switch (field.FieldType)
        {
            case FieldType.Message:
                Compare(expected, (IMessage)value, path);
                break;
            case FieldType.Enum:
                Assert.Equal(expected.GetString(), field.EnumType.FindValueByNumber((int)value).Name);
                break;
            case FieldType.String:
                Assert.Equal(expected.GetString(), value);
                break;
            case FieldType.Bool:
                Assert.Equal(expected.GetBoolean(), value);
                break;
            default:
                Assert.Equal(expected.GetInt64(), Convert.ToInt64(value, System.Globalization.CultureInfo.InvariantCulture));
                break;
        }
    }
}
