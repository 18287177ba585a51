using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Files that changed since the dump are refused, with a clear error, and an option allows them.</summary>
public sealed class ChangedFilesTests
{
    private const string Allowed = "--allow-changed-files";

    private static readonly DateTime Then = new(2024, 2, 3, 4, 5, 6, DateTimeKind.Utc);

    [Fact]
    public void A_mapped_file_of_another_size_is_refused_or_allowed()
        => Check((mapped, _) => File.AppendAllText(mapped, "more"), "has 104 bytes, at the dump 100");

    [Fact]
    public void A_mapped_file_that_was_modified_is_refused_or_allowed()
        => Check((mapped, _) => File.WriteAllText(mapped, new string('b', 100)), "was modified since the dump");

    [Fact]
    public void A_mapped_file_that_was_replaced_is_refused_or_allowed()
        => Check(
            (mapped, _) =>
            {
                File.Delete(mapped);
                File.WriteAllText(mapped, new string('c', 100));
            },
            "was modified since the dump");

    [Fact]
    public void A_file_with_another_mode_is_refused_or_allowed()
        => Check((_, opened) => File.SetUnixFileMode(opened, UnixFileMode.UserRead), "has mode 0100400", "--skip-file-rwx-check");

    [Fact]
    public void A_file_that_is_open_may_have_been_modified()
        => Check((_, opened) => File.SetLastWriteTimeUtc(opened, Then.AddDays(1)), null);

    [Fact]
    public void A_mapped_file_that_is_the_same_again_is_accepted()
        => Check(
            (mapped, _) =>
            {
                File.Copy(mapped, mapped + ".copy");
                File.Move(mapped + ".copy", mapped, overwrite: true);
                File.SetLastWriteTimeUtc(mapped, Then);
            },
            null);

    [Fact]
    public void A_mapped_file_that_was_removed_is_refused()
        => Check((mapped, _) => File.Delete(mapped), "was removed since the dump", allowedBy: null);

    [Fact]
    public void A_program_that_was_built_anew_is_refused_or_allowed()
    {
        using var space = new PidNamespace();
        string program = Path.Combine(space.Directory, "program");
        string[] sources = ["3", "5"];
        string[] built = [.. sources.Select(number =>
        {
            string source = Path.Combine(space.Directory, $"p{number}.c");
            File.WriteAllText(source, $"#include <unistd.h>\nint volatile x = {number}; int main(void) {{ for (;;) pause(); }}\n");
            string made = Path.Combine(space.Directory, $"made{number}");
            Outcome outcome = space.Run("gcc", "-Wl,--build-id=sha1", "-o", made, source);
            Assert.True(outcome.Status == 0, outcome.Error);
            return made;
        })];
        File.Copy(built[0], program);
        int pid = space.Start([program]);
        PidNamespace.Until(() => File.ReadAllText(space.Proc(pid, "wchan")).Contains("pause", StringComparison.Ordinal)
            || File.ReadAllText(space.Proc(pid, "syscall")).StartsWith("34 ", StringComparison.Ordinal), "the program pauses");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        space.UntilEmpty();
        File.Delete(program);
        File.Copy(built[1], program);
        Outcome refused = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, refused.Status);
        Assert.Contains("has another build id", refused.Error, StringComparison.Ordinal);
        Assert.Empty(space.Pids);
        space.FirnMust("restore", "-D", images, "-d", Allowed);
    }

    private static void Check(Action<string, string> change, string? error, string? allowedBy = Allowed)
    {
        using var space = new PidNamespace();
        string mapped = Path.Combine(space.Directory, "mapped");
        string opened = Path.Combine(space.Directory, "opened");
        File.WriteAllText(mapped, new string('a', 100));
        File.WriteAllText(opened, "opened");
        File.SetLastWriteTimeUtc(mapped, Then);
        var target = new TargetRun(space, "changed_files", mapped, opened);
        string images = target.Dump(1);
        change(mapped, opened);
        if (error is not null)
        {
            Outcome refused = space.Firn("restore", "-D", images, "-d");
            Assert.Equal(1, refused.Status);
            Assert.Contains(error, refused.Error, StringComparison.Ordinal);
            Assert.Empty(space.Pids);
            if (allowedBy is null)
            {
                return;
            }
        }

        space.FirnMust(["restore", "-D", images, "-d", .. error is null ? [] : new[] { allowedBy! }]);
        target.CheckItself();
    }
}
