using Firn.Cli.Talk;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Cli.Commands;

/// <summary>`firn install`: puts this very program where it is found.</summary>
internal static class InstallCommand
{
    private const string Name = "firn";
    private const string OtherName = "criu";
    private const int ProgramMode = 0x1ED; // rwxr-xr-x

    public static int Run(Invocation invocation)
    {
        string directory = Path.Combine(Path.GetFullPath(invocation.Prefix), "bin");
        string program = Path.Combine(directory, Name);
        string other = Path.Combine(directory, OtherName);
        if (invocation.AsCriu)
        {
            MustBeOurs(invocation, other);
        }

        try
        {
            _ = Directory.CreateDirectory(directory);
            Copy(program);
            StandardError.WriteLine($"install: {program}");
            if (invocation.AsCriu)
            {
                Link(other);
                StandardError.WriteLine($"install: {other}, which engines take for CRIU");
                SayWhatIsFound(other);
            }

            return 0;
        }
        catch (UnauthorizedAccessException)
        {
            throw new UsageException($"{directory} can't be written: run it as root, or name another place with --prefix");
        }
    }

    private static void MustBeOurs(Invocation invocation, string other)
    {
        FileSystemInfo? there = new FileInfo(other) is { Exists: true } or { LinkTarget: not null } ? new FileInfo(other) : null;
        if (there is not null && there.LinkTarget != Name && !invocation.Force)
        {
            throw new UsageException(
                $"{other} is there already, and not of Firn's making; --force replaces it, --prefix names another place");
        }
    }

    // A name that is always that of a whole program.
    private static void Copy(string program)
    {
        string pending = program + ".new";
        using (Fd from = Sys.Open("/proc/self/exe", OpenFlags.O_RDONLY))
        using (Fd to = Sys.Open(pending, OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_TRUNC, ProgramMode))
        {
            byte[] buffer = new byte[1 << 16];
            while (Sys.Read(from.Number, buffer).OrThrow("read(/proc/self/exe)").Int32 is > 0 and int length)
            {
                for (int written = 0; written < length;)
                {
                    written += Sys.Write(to.Number, buffer.AsSpan(written, length - written)).OrThrow($"write({pending})").Int32;
                }
            }

            Sys.Fchmod(to.Number, ProgramMode).OrThrow($"fchmod({pending})");
        }

        File.Move(pending, program, overwrite: true);
    }

    private static void Link(string other)
    {
        string pending = other + ".new";
        File.Delete(pending);
        _ = File.CreateSymbolicLink(pending, Name);
        File.Move(pending, other, overwrite: true);
    }

    private static void SayWhatIsFound(string other)
    {
        string? found = Environment.GetEnvironmentVariable("PATH")?.Split(':')
            .Select(directory => Path.Combine(directory, OtherName))
            .FirstOrDefault(File.Exists);
        if (found != other)
        {
            StandardError.WriteLine(
                found is null
                    ? $"install: {Path.GetDirectoryName(other)} is not in PATH: an engine finds it only if it is in its own"
                    : $"install: {found} comes first in PATH, and is what is found as `criu`");
        }
    }
}
