namespace Firn.Images;

/// <summary>An image is not what it should be; the only exception that bytes or JSON text can cause here.</summary>
public sealed class ImageFormatException : FormatException
{
    /// <summary>Says what is wrong, where, and what to do.</summary>
    /// <param name="file">The file's name, as the caller knows it.</param>
    /// <param name="offset">Where in the file, in bytes; -1 if the problem has no place.</param>
    /// <param name="identifier">One of <see cref="ImageDiagnostic"/>.</param>
    /// <param name="sentence">What is wrong and what to do.</param>
    /// <param name="cause">What was noticed first, if anything was thrown.</param>
    public ImageFormatException(string file, long offset, string identifier, string sentence, Exception? cause = null)
        : base(offset < 0 ? $"{file}: {sentence} [{identifier}]" : $"{file}: at byte {offset}: {sentence} [{identifier}]", cause)
    {
        File = file;
        Offset = offset;
        Identifier = identifier;
    }

    /// <summary>The file's name, as the caller knows it.</summary>
    public string File { get; }

    /// <summary>Where in the file, in bytes; -1 if the problem has no place.</summary>
    public long Offset { get; }

    /// <summary>Which problem it is: one of <see cref="ImageDiagnostic"/>.</summary>
    public string Identifier { get; }
}
