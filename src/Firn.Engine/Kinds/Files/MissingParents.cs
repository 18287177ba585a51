using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>Directories on the way to a file without a name that are gone too: made for the moment.</summary>
internal sealed class MissingParents : IDisposable
{
    private readonly Stack<string> made = new();

    /// <summary>Makes those that are missing.</summary>
    /// <param name="path">The file.</param>
    public MissingParents(string path)
    {
        var missing = new Stack<string>();
        for (string? parent = Path.GetDirectoryName(path);
            !string.IsNullOrEmpty(parent) && Sys.StatAt(At.AT_FDCWD, parent, out _).Errno == Errno.ENOENT;
            parent = Path.GetDirectoryName(parent))
        {
            missing.Push(parent);
        }

        foreach (string parent in missing)
        {
            Sys.MkdirAt(At.AT_FDCWD, parent, 0x1c0).OrThrow($"mkdirat({parent})");
            made.Push(parent);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (string parent in made)
        {
            // One that is in use by now stays.
            _ = Sys.RmdirAt(At.AT_FDCWD, parent);
        }
    }
}
