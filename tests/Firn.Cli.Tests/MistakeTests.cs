using Firn.Engine.Tests.RoundTrip;

namespace Firn.Cli.Tests;

/// <summary>What users get wrong: each is answered by one sentence that says what to try, and by exit status 1.</summary>
public sealed class MistakeTests
{
    [Theory]
    [InlineData("", "firn: a command is needed")]
    [InlineData("dmup", "did you mean `dump`?")]
    [InlineData("pre-dump", "does not have yet")]
    [InlineData("dump", "-t PID")]
    [InlineData("dump -t abc", "`abc` is not a number")]
    [InlineData("dump -t 0", "`0` is not a pid")]
    [InlineData("dump -t", "-t PID: the argument is missing")]
    [InlineData("dump -t 4000000 -D /", "there is no process 4000000")]
    [InlineData("dump -t 1 -D /not/there", "there is no images directory /not/there; make it")]
    [InlineData("dump -t 1 -D / -o /not/there", "the log /not/there can't be written")]
    [InlineData("dump -t 1 -D / more", "`more` is one word too many")]
    [InlineData("dump --ghost-limit 3X -t 1", "`3X` is not a size")]
    [InlineData("dump --pid 1", "see `firn dump --help`")]
    [InlineData("dump --leave-runing -t 1", "did you mean `--leave-running`?")]
    [InlineData("dump -t 1 --lazy-pages", "--lazy-pages is an option of CRIU that this version of Firn does not have yet")]
    [InlineData("restore --lazy-pages", "--lazy-pages is an option of CRIU that this version of Firn does not have yet")]
    [InlineData("restore -D / --join-ns net", "`net` names no namespace: give a PID or a FILE")]
    [InlineData("restore -D / -J pid:1", "a pid namespace can't be joined")]
    [InlineData("restore -D / -J fun:1", "is not of the form NAME:PID")]
    [InlineData("restore -D / --veth-pair eth0", "`eth0` is not of the form INSIDE=OUTSIDE[@BRIDGE]")]
    [InlineData("restore -D /not/there", "there is no images directory /not/there")]
    [InlineData("restore -D /usr", "/usr holds no inventory.img")]
    [InlineData("restore -D /usr -S", "--restore-sibling makes sense only with --restore-detached")]
    [InlineData("check --pid 4000000", "there is no process 4000000")]
    [InlineData("check --feature nonsense", "`firn check --feature list` lists them")]
    [InlineData("decode /not/there", "there is no file /not/there")]
    [InlineData("decode /usr", "/usr is a directory; name one image file in it")]
    [InlineData("decode /etc/passwd", "[FIRN-I09]")]
    [InlineData("decode --shell-job", "--shell-job is an option of `dump` and `restore`, and not of `decode`")]
    [InlineData("encode /etc/passwd", "[FIRN-I10]")]
    public void Is_answered_by_one_sentence(string line, string expected)
    {
        using var space = new PidNamespace();
        Outcome outcome = space.Firn(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(1, outcome.Status);
        Assert.Contains(expected, outcome.Error, StringComparison.Ordinal);
        Assert.Equal(1, outcome.Error.Count(letter => letter == '\n'));
        Assert.Empty(outcome.Output);
        Assert.DoesNotMatch(@"\b(dump|restore|check|firn): \1:", outcome.Error);
    }

    [Fact]
    public void A_dump_of_what_runs_firn_is_refused()
    {
        using var space = new PidNamespace();
        Outcome outcome = space.Run("/bin/sh", "-c", $"{Programs.Firn} dump -t $$ -D /; exit $?");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("is firn itself or runs it", outcome.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("dump -t 1 -D /")]
    [InlineData("restore -D /")]
    [InlineData("check --pid 1")]
    [InlineData("demo")]
    public void Without_privilege_it_says_so_before_it_begins(string line)
    {
        using var space = new PidNamespace();
        string command = Programs.Command("/usr/bin/setpriv");
        Outcome outcome = space.Run(
            [command, "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", Programs.Firn, .. line.Split(' ')]);
        Assert.Equal(1, outcome.Status);
        Assert.EndsWith("run it as root\n", outcome.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("help")]
    [InlineData("help dump")]
    [InlineData("dump --help")]
    [InlineData("--version")]
    public void Help_is_no_failure(string line)
    {
        using var space = new PidNamespace();
        Outcome outcome = space.Firn(line.Split(' '));
        Assert.Equal((0, string.Empty), (outcome.Status, outcome.Error));
        Assert.NotEmpty(outcome.Output);
    }
}
