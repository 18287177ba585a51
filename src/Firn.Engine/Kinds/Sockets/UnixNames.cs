using System.Text;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Sockets;

/// <summary>Binds Unix sockets to the names they had, and connects to those names.</summary>
/// <remarks>
/// A name is kept by the kernel as it was given, so a relative one must be bound from the directory it was bound in. A path is a file as
/// well: one that is left of the socket's former life is replaced, one that someone listens at is a conflict.
/// </remarks>
internal sealed class UnixNames(RestoreContext context)
{
    private const uint PermissionBits = 0xfff;

    private readonly List<(int Mount, string Path, string? Aside)> vanishing = [];

    private readonly Stack<string> directories = [];

    /// <summary>Takes the bytes of a sockaddr_un.</summary>
    public delegate void AddressAction(ReadOnlySpan<byte> address);

    /// <summary>Binds a socket for good, or, where its path was deleted, until <see cref="Unlink"/>.</summary>
    /// <exception cref="RestoreConflictException">The name is taken.</exception>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void Bind(Fd socket, UnixSkEntry message)
        => NestedNamespaces.WithinMount(context, message.MntId, () => BindHere(socket, message));

    private void BindHere(Fd socket, UnixSkEntry message)
    {
        if (message.Deleted)
        {
            BindForAMoment(socket, message);
            return;
        }

        if (message.HasRenamedTo)
        {
            BindAndRename(socket, message);
            return;
        }

        SysResult result = TryBind(socket, message);
        if (result.Errno == Errno.EADDRINUSE && IsPath(message) && IsLeftBehind(FullPath(message)))
        {
            string path = FullPath(message);
            Sys.UnlinkAt(At.AT_FDCWD, path).OrThrow($"unlink({path})");
            result = TryBind(socket, message);
        }

        Check(result, message);
        if (IsPath(message))
        {
            Own(FullPath(message), message);
        }
    }

    // What stands at the first name steps aside for as long as it takes.
    private void BindAndRename(Fd socket, UnixSkEntry message)
    {
        string path = FullPath(message);
        string wanted = Encoding.UTF8.GetString(message.RenamedTo.Span);
        if (!Sys.StatAt(At.AT_FDCWD, wanted, out _, At.AT_SYMLINK_NOFOLLOW).IsError && !IsLeftBehind(wanted))
        {
            Check(new SysResult(-(nint)Errno.EADDRINUSE), message);
        }

        MakeDirectoryOf(path);
        string aside = $"{path}.firn-{Sys.GetPid()}-{vanishing.Count}";
        bool isTaken = !Sys.RenameAt(At.AT_FDCWD, path, At.AT_FDCWD, aside).IsError;
        try
        {
            Check(TryBind(socket, message), message);
            Sys.RenameAt(At.AT_FDCWD, path, At.AT_FDCWD, wanted).OrThrow($"rename({path}, {wanted})");
        }
        finally
        {
            if (isTaken)
            {
                Sys.RenameAt(At.AT_FDCWD, aside, At.AT_FDCWD, path).OrThrow($"rename({aside}, {path})");
            }
        }

        Own(wanted, message);
    }

    // A path that goes away if the restore fails; with the owner and the mode that it had.
    private void Own(string path, UnixSkEntry message)
    {
        context.Undo.Push(() => Sys.UnlinkAt(At.AT_FDCWD, path));
        if (message.FilePerms is { } permissions)
        {
            Sys.FchownAt(At.AT_FDCWD, path, permissions.Uid, permissions.Gid).OrThrow(
                $"chown({path}, {permissions.Uid}, {permissions.Gid})");
            Sys.FchmodAt(At.AT_FDCWD, path, permissions.Mode & PermissionBits).OrThrow(
                $"chmod({path}, 0{Convert.ToString(permissions.Mode & PermissionBits, 8)})");
        }
    }

    /// <summary>Binds a socket whose path shall be gone after <see cref="Unlink"/>. What stands there steps aside until then.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    public void BindForAMoment(Fd socket, UnixSkEntry message)
        => NestedNamespaces.WithinMount(context, message.MntId, () => BindHereForAMoment(socket, message));

    private void BindHereForAMoment(Fd socket, UnixSkEntry message)
    {
        string? aside = null;
        if (IsPath(message))
        {
            MakeDirectoryOf(FullPath(message));
        }

        SysResult result = TryBind(socket, message);
        if (result.Errno == Errno.EADDRINUSE && IsPath(message))
        {
            string path = FullPath(message);
            aside = $"{path}.firn-{Sys.GetPid()}-{vanishing.Count}";
            Sys.RenameAt(At.AT_FDCWD, path, At.AT_FDCWD, aside).OrThrow($"rename({path}, {aside})");
            vanishing.Add((message.MntId, path, aside));
            context.Undo.Push(() => Sys.RenameAt(At.AT_FDCWD, aside, At.AT_FDCWD, path));
            result = TryBind(socket, message);
        }
        else if (!result.IsError && IsPath(message))
        {
            string path = FullPath(message);
            vanishing.Add((message.MntId, path, null));
            context.Undo.Push(() => Sys.UnlinkAt(At.AT_FDCWD, path));
        }

        Check(result, message);
    }

    /// <summary>Connects a socket to a name; with the ids of the task that has it, unless those may not.</summary>
    /// <exception cref="LinuxException">The kernel refuses.</exception>
    /// <param name="socket">The socket.</param>
    /// <param name="to">Who has the name.</param>
    /// <param name="holderOfFile">The file whose holder's ids are taken.</param>
    /// <param name="seen">Whom the other end shall see, where that is known.</param>
    public void Connect(Fd socket, UnixSkEntry to, uint holderOfFile, SkCredentialsEntry? seen)
        => WithAddress(to, address =>
        {
            byte[] name = address.ToArray();
            SysResult result = PeerIdentity.Connect(context, seen, socket, name);
            if (result.IsError)
            {
                using var identity = BorrowedIdentity.OfHolder(context, holderOfFile);
                result = Sys.Connect(socket.Number, address);
            }

            if (result.Errno is Errno.EACCES or Errno.EPERM)
            {
                result = Sys.Connect(socket.Number, address);
            }

            result.OrThrow($"connect of file {holderOfFile} to unix socket {UnixSocket.NameText(to.Name.Span)}");
        });

    /// <summary>Does something with a socket's address, in the directory that a relative one is relative to.</summary>
    /// <exception cref="LinuxException">The directory isn't there.</exception>
    public void WithAddress(UnixSkEntry message, AddressAction action)
        => NestedNamespaces.WithinMount(context, message.MntId, () => WithAddressHere(message, action));

    private static void WithAddressHere(UnixSkEntry message, AddressAction action)
    {
        byte[] address = SocketAddress.Unix(message.Name.Span);
        if (!IsPath(message) || message.Name[0] == '/' || !message.HasNameDir)
        {
            action(address);
            return;
        }

        using Fd here = Sys.Open(".", OpenFlags.O_PATH | OpenFlags.O_DIRECTORY);
        using Fd there = Sys.Open(message.NameDir, OpenFlags.O_PATH | OpenFlags.O_DIRECTORY);
        Kernel.Call(Sysno.fchdir, there.Number).OrThrow($"fchdir({message.NameDir})");
        try
        {
            action(address);
        }
        finally
        {
            Kernel.Call(Sysno.fchdir, here.Number).OrThrow("fchdir back");
        }
    }

    /// <summary>What tells names apart: a path is one of a mount namespace, any other name one of a network namespace.</summary>
    public uint PlaceOf(UnixSkEntry message)
        => IsPath(message) ? NestedNamespaces.OfMount(context, message.MntId)?.Id ?? 0 : message.NsId;

    /// <summary>Takes back the paths that were bound for a moment, and puts back what stood there.</summary>
    /// <exception cref="LinuxException">A path can't be unlinked or renamed.</exception>
    public void Unlink()
    {
        foreach ((int mount, string path, string? aside) in vanishing)
        {
            NestedNamespaces.WithinMount(context, mount, () => _ = aside is null
                ? Sys.UnlinkAt(At.AT_FDCWD, path).OrThrow($"unlink({path})")
                : Sys.RenameAt(At.AT_FDCWD, aside, At.AT_FDCWD, path).OrThrow($"rename({aside}, {path})"));
        }

        vanishing.Clear();
        while (directories.TryPop(out string? directory))
        {
            Sys.UnlinkAt(At.AT_FDCWD, directory, At.AT_REMOVEDIR).OrThrow($"rmdir({directory})");
        }
    }

    // A directory may be gone since; for as long as it takes, it is there again.
    private void MakeDirectoryOf(string path)
    {
        const int OnlyRoot = 0x1c0;
        string directory = Path.GetDirectoryName(path) ?? "/";
        if (directory.Length <= 1 || !Sys.StatAt(At.AT_FDCWD, directory, out _).IsError)
        {
            return;
        }

        MakeDirectoryOf(directory);
        Sys.MkdirAt(At.AT_FDCWD, directory, OnlyRoot).OrThrow($"mkdir({directory})");
        directories.Push(directory);
        context.Undo.Push(() => Sys.UnlinkAt(At.AT_FDCWD, directory, At.AT_REMOVEDIR));
    }

    private static bool IsPath(UnixSkEntry message) => message.Name.Length > 0 && message.Name[0] != 0;

    private static string FullPath(UnixSkEntry message)
    {
        string name = Encoding.UTF8.GetString(message.Name.Span.TrimEnd((byte)0));
        return name.StartsWith('/') || !message.HasNameDir ? name : $"{message.NameDir.TrimEnd('/')}/{name}";
    }

    private SysResult TryBind(Fd socket, UnixSkEntry message)
    {
        SysResult result = default;
        if (IsPath(message) && message.FilePerms is { } permissions)
        {
            // The file takes the socket's own mode, so that nobody gets in before it is set on the path.
            Sys.Fchmod(socket.Number, permissions.Mode & PermissionBits).OrThrow($"fchmod({socket})");
        }

        WithAddress(message, address => result = Sys.Bind(socket.Number, address));
        return result;
    }

    private static void Check(SysResult result, UnixSkEntry message)
    {
        if (result.Errno == Errno.EADDRINUSE)
        {
            throw new RestoreConflictException(
                $"unix socket {UnixSocket.NameText(message.Name.Span)} (file {message.Id}): the name is in use; stop the program that "
                    + "uses it, or restore in a new namespace");
        }

        result.OrThrow($"bind of unix socket {UnixSocket.NameText(message.Name.Span)} (file {message.Id})");
    }

    // A socket's file that nobody answers at: ECONNREFUSED. Asked through the file itself, whatever its path.
    private static bool IsLeftBehind(string path)
    {
        if (Sys.StatAt(At.AT_FDCWD, path, out FileStat stat, At.AT_SYMLINK_NOFOLLOW).IsError
            || (stat.st_mode & InodeMode.S_IFMT) != InodeMode.S_IFSOCK)
        {
            return false;
        }

        SysResult opened = Sys.OpenAt(At.AT_FDCWD, path, OpenFlags.O_PATH | OpenFlags.O_NOFOLLOW | OpenFlags.O_CLOEXEC, 0);
        if (opened.IsError)
        {
            return false;
        }

        using var file = new Fd(opened.Int32);
        using var probe = new Fd(
            Sys.Socket(SocketFamily.AF_UNIX, SocketType.SOCK_DGRAM | SocketType.SOCK_CLOEXEC).OrThrow("socket(AF_UNIX, SOCK_DGRAM)").Int32);
        byte[] address = SocketAddress.Unix(Encoding.UTF8.GetBytes(NamespaceVisit.PathOf(file.Number) + "\0"));
        return Sys.Connect(probe.Number, address).Errno == Errno.ECONNREFUSED;
    }
}
