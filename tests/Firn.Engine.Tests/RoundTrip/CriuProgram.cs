using System.Diagnostics;
using System.Globalization;
using Firn.Engine.Kinds.Files;
using Firn.Images;
using Firn.Images.Tests;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>
/// A program that CRIU 4.2 dumped (tests/data/criu-images): the set that it wrote, and the program itself, with its files where the set
/// names them.
/// </summary>
/// <remarks>The sets name /var/tmp/firn-kitchen. In the mount namespace of a test that is a directory of the test's own.</remarks>
internal sealed class CriuProgram(string name)
{
    private const string Place = "/var/tmp/firn-kitchen";

    /// <summary>The options that it was dumped with, and that it is restored with.</summary>
    public string[] Options { get; } = name == "kitchen" ? ["--file-locks", "--tcp-established"] : [];

    /// <summary>The images that CRIU wrote, by file name.</summary>
    public IReadOnlyList<CriuFile> Files { get; } =
        [.. CriuSets.Files.Where(file => file.Name.StartsWith(name + "/", StringComparison.Ordinal))];

    /// <summary>All pids of the set's tree in ascending order.</summary>
    public IEnumerable<int> Pids => ImageFile
        .DecodeAll<PstreeEntry>(ImageKind.Pstree, CriuSets.Get($"{name}/pstree.img").Bytes, "pstree.img")
        .Select(task => (int)task.Pid)
        .Order();

    /// <summary>Those of processes that don't end by themselves: the last of the pipeline is a nap of 0.2 seconds.</summary>
    public IEnumerable<int> LastingPids => name == "pipeline" ? Pids.SkipLast(1) : Pids;

    /// <summary>Writes CRIU's images into a directory of the test.</summary>
    public string Unpack(PidNamespace space)
    {
        string images = space.MakeDirectory("images");
        foreach (CriuFile file in Files)
        {
            File.WriteAllBytes(Path.Combine(images, Path.GetFileName(file.Name)), file.Bytes);
        }

        return images;
    }

    /// <summary>
    /// Skips the test where a program or library that the set has mapped is of another build here: its memory fits no other.
    /// </summary>
    public void NeedsTheVeryFiles()
    {
        CriuFile files = Files.Single(file => Path.GetFileName(file.Name) == "files.img");
        foreach (RegFileEntry file in ImageFile.Decode(ImageKind.Files, files.Bytes, files.Name)
            .Select(entry => ((FileEntry)entry.Message).Reg)
            .Where(file => file is { BuildId.Count: > 0 } && File.Exists(file.Name)))
        {
            using var opened = Sys.Open(file.Name, OpenFlags.O_RDONLY | OpenFlags.O_CLOEXEC);
            if (!BuildId.Read(opened.Number).SequenceEqual(file.BuildId))
            {
                throw Programs.Skipped($"{file.Name} is another build here than the one that CRIU's set has mapped");
            }
        }
    }

    /// <summary>Puts the program's files where the set names them, as they were when the set was written.</summary>
    /// <returns>The same directory as this process sees it.</returns>
    public static string Furnish(PidNamespace space)
    {
        string own = space.MakeDirectory("firn-kitchen");
        foreach (string program in new[] { "kitchen.py", "pipeline.sh" })
        {
            string path = Path.Combine(own, program);
            File.Copy(Programs.Data(program), path);
            File.SetUnixFileMode(path, (UnixFileMode)Convert.ToInt32("755", 8));
        }

        File.Copy(Programs.Data("criu-images/pipeline.out"), Path.Combine(own, "pipeline.out"));
        using Process tar = Process.Start("tar", ["-xJf", Programs.Data("criu-images/kitchen-work.tar.xz"), "-C", own, "--no-same-owner"]);
        tar.WaitForExit();
        Assert.Equal(0, tar.ExitCode);
        Directory.Move(Path.Combine(own, "kitchen-work"), Path.Combine(own, "work"));
        Directory.CreateDirectory(Place);
        Outcome mounted = space.Run("mount", "--bind", own, Place);
        Assert.True(mounted.Status == 0, mounted.Error);
        return own;
    }

    /// <summary>
    /// Starts the program as it was started for the set: one open file for output and errors, and a tenth descriptor, all on /dev/null.
    /// </summary>
    public int Start(PidNamespace space, string own)
    {
        string log = Path.Combine(own, name == "kitchen" ? "work/log" : "pipeline.out");
        File.Delete(log);
        string[] command = name switch
        {
            "sleep" => ["/bin/sleep", "100000"],
            "pipeline" => [$"{Place}/pipeline.sh", $"{Place}/pipeline.out"],
            _ =>
            [
                Programs.Command("/usr/bin/python3"),
                $"{Place}/kitchen.py",
                $"{Place}/work",
                RealProgram.FreePort().ToString(CultureInfo.InvariantCulture),
            ],
        };
        int pid = space.Start(["/bin/bash", "-c", "exec \"$@\" > /dev/null 2>&1 10< /dev/null", "bash", .. command]);
        if (name == "sleep")
        {
            PidNamespace.Until(() => Naps(space, pid), "sleep sleeps");
        }
        else
        {
            _ = RealProgram.MoreLines(log, 3);
        }

        return pid;
    }

    /// <summary>Fails the test unless the program, restored from the set, does its work from where it was.</summary>
    public void MustGoOn(PidNamespace space, string own)
    {
        int root = Pids.First();
        switch (name)
        {
            case "sleep":
                Assert.Equal("/bin/sleep\0100000\0", File.ReadAllText(space.Proc(root, "cmdline")));
                PidNamespace.Until(() => Naps(space, root), "sleep sleeps");
                break;
            case "pipeline":
                string[] rows = RealProgram.MoreLines(Path.Combine(own, "pipeline.out"), 6);
                Assert.Equal(Enumerable.Range(1, rows.Length).Select(number => $"{root} row {number}"), rows);
                break;
            default:
                string[] lines = RealProgram.MoreLines(Path.Combine(own, "work/log"), 3);
                Assert.All(lines, line => Assert.Equal("YYYYYYYYY", line.Split(' ')[4]));
                Assert.Equal(
                    Enumerable.Range(1, lines.Length), lines.Select(line => int.Parse(line.Split(' ')[0], CultureInfo.InvariantCulture)));
                break;
        }
    }

    /// <summary>Takes the place away that <see cref="Furnish"/> made, where nothing else is in it.</summary>
    public static void Clear()
    {
        try
        {
            Directory.Delete(Place);
        }
        catch (IOException)
        {
            // Someone else's files are in it.
        }
    }

    // clock_nanosleep, nanosleep, or one of them begun again.
    private static bool Naps(PidNamespace space, int pid)
        => File.ReadAllText(space.Proc(pid, "syscall")).Split(' ')[0] is "230" or "35" or "219";
}
