using Firn.Engine.Tests.RoundTrip;

namespace Firn.Engine.Tests.Containers;

/// <summary>
/// What a container engine needs, apart from all others on the machine: Firn found as `criu` in a directory of its own on PATH, a root file
/// system of busybox, a pid and mount namespace that takes all with it, and cgroups below one name. Nothing of the user's is touched.
/// </summary>
internal sealed class EngineRoom : IDisposable
{
    private const string Cgroups = "/sys/fs/cgroup";
    private const string SystemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    private static readonly string[] Applets = ["sh", "cat", "echo", "ls", "mkdir", "nc", "ps", "seq", "sleep", "true", "wc"];
    private readonly string busybox = Programs.Command("/bin/busybox", "/usr/bin/busybox");
    private readonly string programs;

    /// <param name="criu">The program that is found as `criu`: Firn, if null.</param>
    public EngineRoom(string? criu = null)
    {
        Space = new PidNamespace();
        try
        {
            Name = Path.GetFileName(Space.Directory);
            MustHaveCgroups();
            programs = Space.MakeDirectory("bin");
            _ = File.CreateSymbolicLink(Path.Combine(programs, "criu"), criu ?? Programs.Firn);
        }
        catch
        {
            Space.Dispose();
            throw;
        }
    }

    /// <summary>Where the engine and its containers run.</summary>
    public PidNamespace Space { get; }

    /// <summary>A name that nothing else on the machine has: of the containers, and of the group that they are in.</summary>
    public string Name { get; }

    /// <summary>The groups that are there, in any hierarchy.</summary>
    public IReadOnlyList<string> Groups => [.. Hierarchies.Select(mount => Path.Combine(mount, Name)).Where(Directory.Exists)];

    // Version 2 alone, or each hierarchy of version 1 in a directory of its own.
    private static string[] Hierarchies => File.Exists($"{Cgroups}/cgroup.procs")
        ? [Cgroups]
        : Directory.Exists(Cgroups)
            ? [.. Directory.GetDirectories(Cgroups).Where(mount => File.Exists($"{mount}/cgroup.procs"))]
            : [];

    /// <summary>Makes a root file system with busybox in it.</summary>
    public void MakeRootFileSystem(string directory)
    {
        foreach (string name in (ReadOnlySpan<string>)["bin", "dev", "etc", "proc", "sys", "tmp"])
        {
            _ = Directory.CreateDirectory(Path.Combine(directory, name));
        }

        File.Copy(busybox, Path.Combine(directory, "bin/busybox"));
        Array.ForEach(Applets, name => File.CreateSymbolicLink(Path.Combine(directory, "bin", name), "busybox"));
        Outcome outcome = Space.Run("chroot", directory, "/bin/true");
        if (outcome.Status != 0)
        {
            throw Programs.Skipped($"{busybox} does not run by itself: the package busybox-static is needed");
        }
    }

    /// <summary>
    /// Makes a root file system of the programs that are installed on this machine: Debian's own /usr is to be bound to it, read-only.
    /// </summary>
    public static void MakeDebianRoot(string directory)
    {
        foreach (string name in (ReadOnlySpan<string>)["data", "dev", "etc", "proc", "run", "sys", "tmp", "usr", "var/lib", "var/log"])
        {
            _ = Directory.CreateDirectory(Path.Combine(directory, name));
        }

        // Programs that give up root work in these.
        const UnixFileMode All = (UnixFileMode)0x1FF;
        File.SetUnixFileMode(Path.Combine(directory, "data"), All);
        File.SetUnixFileMode(Path.Combine(directory, "tmp"), All | UnixFileMode.StickyBit);
        foreach (string name in (ReadOnlySpan<string>)["bin", "lib", "lib64", "sbin"])
        {
            File.CreateSymbolicLink(Path.Combine(directory, name), "usr/" + name);
        }

        foreach (string name in (ReadOnlySpan<string>)["group", "nsswitch.conf", "passwd"])
        {
            File.Copy("/etc/" + name, Path.Combine(directory, "etc", name));
        }
    }

    /// <summary>Runs a command of an engine to its end, with Firn as the `criu` that it finds.</summary>
    public Outcome Run(params string[] command) => Space.Run(["env", $"PATH={programs}:{SystemPath}", .. command]);

    /// <summary>Starts a line of the shell, and does not wait; gives its process.</summary>
    public int Start(string line) => Space.Start(["env", $"PATH={programs}:{SystemPath}", "sh", "-c", line]);

    public void Dispose()
    {
        foreach (string group in Groups)
        {
            TestCgroup.Remove(group);
        }

        Space.Dispose();
    }

    private void MustHaveCgroups()
    {
        if (Hierarchies.Length == 0)
        {
            throw Programs.Skipped($"no cgroup is mounted at {Cgroups}, and no engine runs without");
        }

        foreach (string mount in Hierarchies)
        {
            try
            {
                _ = Directory.CreateDirectory(Path.Combine(mount, Name));
                Directory.Delete(Path.Combine(mount, Name));
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                throw Programs.Skipped($"no cgroup can be made here: {exception.Message}");
            }
        }
    }
}
