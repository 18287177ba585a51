namespace Firn.Linux;

/// <summary>struct file_handle: a file's name that outlives its paths (name_to_handle_at(2)).</summary>
/// <param name="Type">handle_type: who can read it, as FILEID_* or a file system's own.</param>
/// <param name="Bytes">f_handle.</param>
public sealed record FileHandle(int Type, byte[] Bytes)
{
    /// <summary>Compares type and bytes.</summary>
    public bool Equals(FileHandle? other) => other is not null && Type == other.Type && Bytes.AsSpan().SequenceEqual(other.Bytes);

    /// <inheritdoc/>
    public override int GetHashCode()
    {
        var hash = default(HashCode);
        hash.Add(Type);
        hash.AddBytes(Bytes);
        return hash.ToHashCode();
    }
}
