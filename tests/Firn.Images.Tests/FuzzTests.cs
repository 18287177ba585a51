namespace Firn.Images.Tests;

public class FuzzTests
{
    private const int Mutations = 20_000;
    private const int LargestFile = 64 << 10;
    private const string Alphabet = "\"{}[],:0-9e.x|\\u\ud800 \u00e9null";

    [Fact]
    public void Damaged_images_give_only_format_exceptions()
    {
        CriuFile[] files = [.. CriuSets.Files.Where(file => !file.Kind.IsRaw && file.Bytes.Length < LargestFile)];
        int understood = 0;
        for (int seed = 0; seed < Mutations; seed++)
        {
            var random = new Random(seed);
            CriuFile file = files[random.Next(files.Length)];
            byte[] bytes = Mutate(file.Bytes, random);
            understood += Reads(file.Kind, bytes, seed) ? 1 : 0;
        }

        Assert.InRange(understood, 1, Mutations - 1);
    }

    [Fact]
    public void Damaged_images_of_every_kind_give_only_format_exceptions()
    {
        ImageKind[] kinds = [.. ImageKind.All.Where(kind => !kind.IsRaw)];
        for (int seed = 0; seed < Mutations; seed++)
        {
            var random = new Random(seed);
            ImageKind kind = kinds[seed % kinds.Length];
            _ = Reads(kind, Mutate(ImageFile.Encode(kind, new RandomMessages(seed).Entries(kind)), random), seed);
        }
    }

    [Fact]
    public void Damaged_JSON_gives_only_format_exceptions()
    {
        CriuFile[] files = [.. CriuSets.Files.Where(file => file.Json is { Length: < 20_000 })];
        for (int seed = 0; seed < Mutations / 4; seed++)
        {
            var random = new Random(seed);
            char[] text = files[random.Next(files.Length)].Json!.ToCharArray();
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                text[random.Next(text.Length)] = Alphabet[random.Next(Alphabet.Length)];
            }

            try
            {
                _ = ImageJson.Encode(new string(text));
            }
            catch (ImageFormatException)
            {
                // The only one that may come.
            }
        }
    }

    private static bool Reads(ImageKind kind, byte[] bytes, int seed)
    {
        try
        {
            IReadOnlyList<ImageEntry> entries = ImageFile.Decode(kind, bytes, "damaged");
            byte[] again = ImageFile.Encode(kind, entries);
            string json = ImageJson.Decode(again, kind.FileName());
            Assert.Equal(again, ImageJson.Encode(json));
            if (kind == ImageKind.Pagemap)
            {
                _ = PageMap.Decode(bytes, "damaged").Encode();
            }

            return true;
        }
        catch (ImageFormatException problem)
        {
            Assert.StartsWith("FIRN-I", problem.Identifier, StringComparison.Ordinal);
            return false;
        }
        catch (Exception other)
        {
            throw new InvalidOperationException($"{kind}, seed {seed}: {other.Message}", other);
        }
    }

    private static byte[] Mutate(byte[] original, Random random)
    {
        List<byte> bytes = [.. original];
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            int place = random.Next(Math.Max(1, bytes.Count));
            switch (random.Next(6))
            {
                case 0 when bytes.Count > 0:
                    bytes[place] ^= (byte)(1 << random.Next(8));
                    break;
                case 1 when bytes.Count > 0:
                    bytes[place] = (byte)random.Next(256);
                    break;
                case 2 when bytes.Count > 0:
                    bytes.RemoveRange(place, bytes.Count - place);
                    break;
                case 3:
                    byte[] more = new byte[random.Next(1, 20)];
                    random.NextBytes(more);
                    bytes.InsertRange(Math.Min(place, bytes.Count), more);
                    break;
                case 4 when bytes.Count >= 12:
                    // The size of the first entry, which stands behind two magic numbers.
                    bytes[8 + random.Next(4)] = (byte)random.Next(256);
                    break;
                case 5 when bytes.Count > 0:
                    bytes.RemoveRange(place, Math.Min(random.Next(1, 20), bytes.Count - place));
                    break;
                default:
                    break;
            }
        }

        return [.. bytes];
    }
}
