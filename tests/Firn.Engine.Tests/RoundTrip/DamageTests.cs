using System.Buffers.Binary;
using Firn.Images;
using Google.Protobuf;
using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Image sets that are not as they were dumped: restored, or refused with one clear error, and never anything else.</summary>
public sealed class DamageTests(ITestOutputHelper output)
{
    private const int Seed = 20_251_123;
    private const int BitsPerFile = 14;
    private const int Looks = 400;
    private const int Killed = 128 + 9;

    // Every file of a set missing, cut short in several places, and with one bit flipped, at places that a seed gives.
    [Theory]
    [InlineData("/bin/sleep", "1000")]
    [InlineData("checking", "restored")]
    public void A_damaged_set_is_restored_or_refused_with_one_error(string program, string argument)
    {
        using var space = new PidNamespace();
        string images = Dump(space, program, argument);
        var random = new Random(Seed);
        int restored = 0;
        int refused = 0;
        List<string> wrong = [];
        foreach (string file in Directory.GetFiles(images, "*.img").Order(StringComparer.Ordinal))
        {
            foreach ((string what, byte[]? content) in Damages(random, file))
            {
                string set = Copy(space, images);
                string damaged = Path.Combine(set, Path.GetFileName(file));
                File.Delete(damaged);
                if (content is not null)
                {
                    File.WriteAllBytes(damaged, content);
                }

                Outcome outcome = space.Run("timeout", "-s", "KILL", "30", Programs.Firn, "restore", "-D", set, "-d", "-v0");
                restored += outcome.Status == 0 ? 1 : 0;
                refused += outcome.Status == 1 ? 1 : 0;
                if (Complaint(space, outcome) is { } complaint)
                {
                    wrong.Add($"{Path.GetFileName(file)} {what}: {complaint}: {outcome.Error}");
                }

                End(space);
            }
        }

        output.WriteLine($"seed {Seed}: {restored} restored, {refused} refused");
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.True(refused > 0, "no damage was noticed");
    }

    // Field 5000, a number: a later version's, say.
    [Fact]
    public void A_field_that_is_not_known_is_passed_over_and_kept()
    {
        using var space = new PidNamespace();
        string images = Dump(space, "/bin/sleep", "1000");
        foreach (string file in Directory.GetFiles(images, "*.img").Where(HasMessages))
        {
            byte[] bytes = File.ReadAllBytes(file);
            int length = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(8));
            BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), length + 4);
            byte[] changed = [.. bytes[..(12 + length)], 0xc0, 0xb8, 0x02, 0x01, .. bytes[(12 + length)..]];
            File.WriteAllBytes(file, changed);
            string json = Path.Combine(space.Directory, "json");
            string again = Path.Combine(space.Directory, "again");
            space.FirnMust("decode", file, "-o", json);
            space.FirnMust("encode", json, "-o", again);
            Assert.Equal(changed, File.ReadAllBytes(again));
        }

        space.FirnMust("restore", "-D", images, "-d");
        Assert.Single(space.Pids);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(127)]
    public void A_queued_signal_that_is_cut_short_is_refused_by_name(int size)
    {
        using var space = new PidNamespace();
        string work = space.MakeDirectory("work");
        int pid = space.Start([Programs.Target("sig_pending"), work]);
        PidNamespace.Until(() => File.Exists(Path.Combine(work, "ready")), "the target is ready");
        string images = space.MakeDirectory("images");
        space.FirnMust("dump", "-t", $"{pid}", "-D", images);
        space.UntilEmpty();
        string file = Path.Combine(images, $"core-{pid}.img");
        CoreEntry core = ImageFile.DecodeOne<CoreEntry>(ImageKind.Core, File.ReadAllBytes(file), file);
        SiginfoEntry signal = core.Tc.SignalsS.Signals.Concat(core.ThreadCore.SignalsP.Signals).First();
        signal.Siginfo = ByteString.CopyFrom(signal.Siginfo.Span[..size]);
        File.WriteAllBytes(file, ImageFile.Encode(ImageKind.Core, core));
        Outcome outcome = space.Firn("restore", "-D", images, "-d");
        Assert.Equal(1, outcome.Status);
        Assert.Contains("[siginfo]", outcome.Error, StringComparison.Ordinal);
        Assert.Null(Complaint(space, outcome));
    }

    // Two magic numbers, then a size and a message.
    private static bool HasMessages(string file)
    {
        byte[] bytes = File.ReadAllBytes(file);
        return bytes.Length > 12
            && BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(8)) is var length
            && length > 0
            && length <= bytes.Length - 12
            && !Path.GetFileName(file).StartsWith("pages-", StringComparison.Ordinal);
    }

    private static string Dump(PidNamespace space, string program, string argument)
    {
        string images = space.MakeDirectory("images");
        string pid = program[0] == '/' ? $"{space.Start([program, argument])}" : new SelfChecking(space, program, argument).PidText;
        PidNamespace.Until(
            () => File.ReadAllText(space.Proc(int.Parse(pid, System.Globalization.CultureInfo.InvariantCulture), "wchan")) != "0"
                || program[0] != '/',
            "it sleeps");
        space.FirnMust("dump", "-t", pid, "-D", images);
        space.UntilEmpty();
        return images;
    }

    private static IEnumerable<(string What, byte[]? Content)> Damages(Random random, string file)
    {
        byte[] bytes = File.ReadAllBytes(file);
        yield return ("is missing", null);
        foreach (int length in new[] { 0, 4, 8, 10, bytes.Length / 2, bytes.Length - 1 }.Where(length => length < bytes.Length).Distinct())
        {
            yield return ($"ends after {length} bytes", bytes[..length]);
        }

        for (int i = 0; i < BitsPerFile && bytes.Length > 0; i++)
        {
            int bit = random.Next(8 * bytes.Length);
            byte[] flipped = [.. bytes];
            flipped[bit / 8] ^= (byte)(1 << (bit % 8));

            // A flipped bit of memory or of registers is a program's own business: it may do anything then, but Firn may not.
            yield return ($"has bit {bit} flipped", flipped);
        }
    }

    private static string? Complaint(PidNamespace space, Outcome outcome)
    {
        if (outcome.Status == Killed)
        {
            return "hangs";
        }

        if (outcome.Status > 1)
        {
            return $"status {outcome.Status}";
        }

        if (outcome.Error.Contains("mistake in Firn", StringComparison.Ordinal))
        {
            return "an exception that no one expected";
        }

        if (outcome.Status == 0)
        {
            return null;
        }

        return outcome.Error.TrimEnd('\n').Split('\n').Length != 1 ? "not one error" : space.Pids.Count > 0
            && IsLeft(space) ? "something is left" : null;
    }

    // What was killed may be there for a moment as a zombie.
    private static bool IsLeft(PidNamespace space)
    {
        for (int i = 0; i < Looks && space.Pids.Count > 0; i++)
        {
            Thread.Sleep(5);
        }

        return space.Pids.Count > 0;
    }

    private static void End(PidNamespace space)
    {
        foreach (int pid in space.Pids)
        {
            space.TryKill(pid, 9);
        }

        space.UntilEmpty();
    }

    private static string Copy(PidNamespace space, string images)
    {
        string set = Path.Combine(space.Directory, "damaged");
        if (Directory.Exists(set))
        {
            Directory.Delete(set, recursive: true);
        }

        Outcome copied = space.Run("cp", "-a", images, set);
        Assert.True(copied.Status == 0, copied.Error);
        return set;
    }
}
