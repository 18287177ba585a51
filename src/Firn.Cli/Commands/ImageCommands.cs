using System.Text;
using Firn.Cli.Talk;
using Firn.Images;

namespace Firn.Cli.Commands;

/// <summary>`firn decode` and `firn encode`: an image as JSON, and back to the same bytes.</summary>
internal static class ImageCommands
{
    private const string Standard = "-";

    /// <summary>Prints an image as JSON.</summary>
    public static int Decode(Invocation invocation)
    {
        string path = Operand(invocation);
        string json = ImageJson.Decode(Read(path), path == Standard ? "standard input" : Path.GetFileName(path));
        Write(invocation.OutputFile, Encoding.UTF8.GetBytes(json.EndsWith('\n') ? json : json + "\n"));
        return 0;
    }

    /// <summary>Makes an image of JSON.</summary>
    public static int Encode(Invocation invocation)
    {
        byte[] image = ImageJson.Encode(Encoding.UTF8.GetString(Read(Operand(invocation))));
        if (invocation.OutputFile is null && !Console.IsOutputRedirected)
        {
            throw new UsageException("an image is no text for a terminal; name a file with -o");
        }

        Write(invocation.OutputFile, image);
        return 0;
    }

    private static string Operand(Invocation invocation) => invocation.Operands.Count switch
    {
        0 => invocation.InputFile ?? Standard,
        1 when invocation.InputFile is null => invocation.Operands[0],
        _ => throw new UsageException("one file at a time"),
    };

    private static byte[] Read(string path)
    {
        if (path != Standard)
        {
            return File.Exists(path)
                ? File.ReadAllBytes(path)
                : throw new UsageException(
                    Directory.Exists(path) ? $"{path} is a directory; name one image file in it" : $"there is no file {path}");
        }

        using Stream input = Console.OpenStandardInput();
        using var bytes = new MemoryStream();
        input.CopyTo(bytes);
        return bytes.ToArray();
    }

    private static void Write(string? path, byte[] bytes)
    {
        if (path is null or Standard)
        {
            StandardError.Write(1, bytes);
        }
        else
        {
            File.WriteAllBytes(path, bytes);
        }
    }
}
