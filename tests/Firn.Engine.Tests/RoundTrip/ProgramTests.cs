using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Programs from the world, dumped, killed, restored, and whole; and dumped ten times while they run on.</summary>
public sealed class ProgramTests
{
    private const int Times = 10;

    public static IEnumerable<TheoryDataRow<string>> Names => RealProgram.All.Keys.Select(name => new TheoryDataRow<string>(name));

    [Theory]
    [MemberData(nameof(Names))]
    public void Is_whole_after_dump_kill_and_restore(string name)
    {
        RealProgram program = RealProgram.All[name]();
        using var space = new PidNamespace();
        int pid = program.Start(space);
        string images = space.MakeDirectory("images");
        IReadOnlyList<int> before = space.Pids;
        space.DumpMust(["-t", $"{pid}", "-D", images, "-v4", "-o", "dump.log", .. program.Options]);
        space.UntilEmpty();
        space.FirnMust(["restore", "-D", images, "-d", "-v4", "-o", "restore.log", .. program.Options]);
        Assert.Equal(before, space.Pids);
        program.MustGoOn(space, pid);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Goes_on_unharmed_after_ten_dumps(string name)
    {
        RealProgram program = RealProgram.All[name]();
        using var space = new PidNamespace();
        int pid = program.Start(space);
        for (int time = 1; time <= Times; time++)
        {
            space.DumpMust(["-t", $"{pid}", "-D", space.MakeDirectory($"images-{time}"), "-R", .. program.Options]);
        }

        program.MustGoOn(space, pid);
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Can_be_dumped_again_after_a_restore(string name)
    {
        RealProgram program = RealProgram.All[name]();
        using var space = new PidNamespace();
        int pid = program.Start(space);
        for (int time = 1; time <= 3; time++)
        {
            string images = space.MakeDirectory($"images-{time}");
            space.DumpMust(["-t", $"{pid}", "-D", images, .. program.Options]);
            space.UntilEmpty();
            space.FirnMust(["restore", "-D", images, "-d", .. program.Options]);
        }

        program.MustGoOn(space, pid);
    }
}
