namespace Firn.Engine.Tests.RoundTrip;

/// <summary>
/// Servers on event loops of every make, under a client that goes on asking over one connection through dumps, kills and restores: with
/// child processes, threads, timers, watched files.
/// </summary>
public sealed class ServerTests
{
    [Theory]
    [InlineData("node", "/usr/bin/node")]
    [InlineData("asyncio", "/usr/bin/python3")]
    [InlineData("memcached", "/usr/bin/memcached")]
    [InlineData("aspnet", "")]
    public void Its_client_goes_on_over_the_same_connection(string name, string command)
    {
        string[] server = command.Length > 0 ? [Programs.Command(command)] : Programs.DotnetTarget(name);
        using var space = new PidNamespace();
        Outcome outcome = space.Run(
        [
            Programs.Command("/usr/bin/unshare"), "--net", Programs.Command("/usr/bin/python3"), Programs.Data("servers.py"),
            Programs.Firn, space.MakeDirectory("images"), name, .. server,
        ]);
        Assert.True(outcome.Status == 0, outcome.Error);
    }

    [Theory]
    [InlineData("outside")]
    [InlineData("inside")]
    public void A_transaction_of_PostgreSQL_stays_open_under_load(string where)
    {
        string programs = Directory.Exists("/usr/lib/postgresql")
            ? Directory.GetDirectories("/usr/lib/postgresql").Select(version => Path.Combine(version, "bin")).First()
            : throw Programs.Skipped("postgresql is not installed");
        using var space = new PidNamespace();
        Outcome outcome = space.Run(
            Programs.Command("/usr/bin/unshare"), "--net", Programs.Command("/usr/bin/python3"), Programs.Data("postgres.py"),
            Programs.Firn, space.MakeDirectory("images"), where, programs);
        Assert.True(outcome.Status == 0, outcome.Error);
    }
}
