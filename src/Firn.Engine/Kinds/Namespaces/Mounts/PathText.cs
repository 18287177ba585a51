namespace Firn.Engine.Kinds.Namespaces.Mounts;

/// <summary>Paths of mounts and in file systems: absolute, without anything to be resolved.</summary>
internal static class PathText
{
    /// <summary>What of a path lies below another: empty for the same, null if it isn't below.</summary>
    public static string? Below(string path, string top)
    {
        if (top is "/")
        {
            return path[1..];
        }

        return !path.StartsWith(top, StringComparison.Ordinal) ? null
            : path.Length == top.Length ? string.Empty
            : path[top.Length] == '/' ? path[(top.Length + 1)..]
            : null;
    }
}
