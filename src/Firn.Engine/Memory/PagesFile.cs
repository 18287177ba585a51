using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>A pages-N.img that is being written.</summary>
internal sealed class PagesFile : IDisposable
{
    private readonly DumpContext context;
    private readonly string name;
    private Fd? fd;

    /// <summary>Chooses the next name. There is no file before something asks for it.</summary>
    public PagesFile(DumpContext context)
    {
        this.context = context;
        Id = context.Files.State.Get<MemoryDumpState>().NextPagesId();
        name = ImageKind.Pages.FileName(Id);
        Path = System.IO.Path.Combine(context.Options.ImagesDirectory, name);
    }

    /// <summary>The N of its name.</summary>
    public uint Id { get; }

    /// <summary>Its path.</summary>
    public string Path { get; }

    /// <summary>Firn's descriptor: the file is made, empty, when it is first asked for.</summary>
    /// <exception cref="CheckpointException">It can't be made.</exception>
    public int Number => Make().Number;

    /// <summary>Makes the file, empty, unless it is there already.</summary>
    /// <exception cref="CheckpointException">It can't be made.</exception>
    public Fd Make()
    {
        if (fd is not null)
        {
            return fd;
        }

        SysResult opened = Sys.OpenAt(
            At.AT_FDCWD,
            Path,
            OpenFlags.O_RDWR | OpenFlags.O_CREAT | OpenFlags.O_TRUNC | OpenFlags.O_CLOEXEC | OpenFlags.O_NOFOLLOW,
            0x180);
        if (opened.IsError)
        {
            throw Failure(opened.Errno);
        }

        context.WrittenFiles.Add(name);
        return fd = new Fd(opened.Int32);
    }

    /// <summary>Opens the file once more, to be written past the page cache; null where the file system has no such way.</summary>
    public Fd? OpenDirect()
    {
        const OpenFlags Flags = OpenFlags.O_WRONLY | OpenFlags.O_DIRECT | OpenFlags.O_CLOEXEC;
        SysResult opened = Sys.OpenAt(At.AT_FDCWD, NamespaceVisit.PathOf(Number), Flags, 0);
        return opened.IsError ? null : new Fd(opened.Int32);
    }

    /// <summary>Gives the file its final size.</summary>
    public void SetSize(long size) => Check(Sys.Ftruncate(Number, size), 0);

    /// <summary>Checks the result of a write.</summary>
    /// <exception cref="CheckpointException">It failed or was cut short.</exception>
    public void Check(SysResult result, long expected)
    {
        if (result.IsError)
        {
            throw Failure(result.Errno);
        }

        if (result.Int64 != expected)
        {
            throw new CheckpointException(
                $"{Path}: only {result.Int64} of {expected} bytes could be written; is the file system full?")
            { Phase = "dump" };
        }
    }

    /// <summary>Makes the file with all that is to be in it.</summary>
    /// <exception cref="CheckpointException">It can't be made or written.</exception>
    public void WriteWhole(ReadOnlySpan<byte> bytes)
    {
        Make();
        Write(bytes, 0);
        Dispose();
    }

    /// <summary>Writes all of something.</summary>
    /// <exception cref="CheckpointException">It can't be written. A write that is cut short is tried on, so that it says why.</exception>
    public void Write(ReadOnlySpan<byte> bytes, long offset)
    {
        while (bytes.Length > 0)
        {
            SysResult written = Sys.Pwrite(Number, bytes, offset);
            if (written.IsError)
            {
                throw Failure(written.Errno);
            }

            bytes = bytes[written.Int32..];
            offset += written.Int32;
        }
    }

    /// <summary>The exception for a write that failed.</summary>
    public CheckpointException Failure(Errno errno) => new(
        $"{Path}: {errno} ({ErrnoText.Describe(errno)}); make room or choose another images directory")
    {
        Phase = "dump",
        Errno = errno,
    };

    /// <inheritdoc/>
    public void Dispose() => fd?.Dispose();
}
