using System.Runtime.InteropServices;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>Starts other programs.</summary>
/// <remarks>
/// posix_spawn(3) of libc, the one function that Firn takes from there: between fork and exec no managed code may run, and
/// System.Diagnostics.Process takes the stops of tracees for their ends (dotnet/runtime#133736).
/// </remarks>
public static unsafe partial class Spawn
{
    // Larger than posix_spawn_file_actions_t (80) and posix_spawnattr_t (336) of glibc and musl.
    private const int OpaqueSize = 512;
    private const short POSIX_SPAWN_SETSIGDEF = 0x04;
    private const short POSIX_SPAWN_SETSIGMASK = 0x08;
    private const short POSIX_SPAWN_SETSID = 0x80;

    /// <summary>Starts a program with all signals at their defaults and unblocked.</summary>
    /// <param name="arguments">Its path and its arguments.</param>
    /// <param name="environment">Its environment, as NAME=VALUE.</param>
    /// <param name="descriptors">Which descriptor of this process becomes which of the new one; close-on-exec closes all others.</param>
    /// <param name="newSession">Whether it leads a session of its own.</param>
    /// <returns>Its pid.</returns>
    /// <exception cref="LinuxException">It can't be started.</exception>
    public static int Start(
        IReadOnlyList<string> arguments,
        IReadOnlyList<string> environment,
        IReadOnlyList<(int From, int To)> descriptors,
        bool newSession)
    {
        // SAFETY: all memory given to libc lives until the last call below has returned; the opaque structures are larger than libc's.
        byte* actions = stackalloc byte[OpaqueSize];
        byte* attributes = stackalloc byte[OpaqueSize];
        byte* noSignals = stackalloc byte[128];
        byte* allSignals = stackalloc byte[128];
        new Span<byte>(noSignals, 128).Clear();
        new Span<byte>(allSignals, 128).Fill(0xFF);
        using var argv = new TextVector(arguments);
        using var envp = new TextVector(environment);

        _ = posix_spawn_file_actions_init(actions);
        _ = posix_spawnattr_init(attributes);
        try
        {
            foreach ((int from, int to) in descriptors)
            {
                _ = posix_spawn_file_actions_adddup2(actions, from, to);
            }

            int flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | (newSession ? POSIX_SPAWN_SETSID : 0);
            _ = posix_spawnattr_setflags(attributes, (short)flags);
            _ = posix_spawnattr_setsigdefault(attributes, allSignals);
            _ = posix_spawnattr_setsigmask(attributes, noSignals);
            int pid = 0;
            int error = posix_spawn(&pid, argv.First, actions, attributes, argv.Pointer, envp.Pointer);
            return error == 0 ? pid : throw new LinuxException($"posix_spawn({arguments[0]})", (Errno)error);
        }
        finally
        {
            _ = posix_spawn_file_actions_destroy(actions);
            _ = posix_spawnattr_destroy(attributes);
        }
    }

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawn(int* pid, byte* path, byte* actions, byte* attributes, byte** argv, byte** envp);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawn_file_actions_init(byte* actions);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawn_file_actions_destroy(byte* actions);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawn_file_actions_adddup2(byte* actions, int from, int to);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawnattr_init(byte* attributes);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawnattr_destroy(byte* attributes);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawnattr_setflags(byte* attributes, short flags);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawnattr_setsigdefault(byte* attributes, byte* set);

    [LibraryImport("libc.so.6")]
    private static partial int posix_spawnattr_setsigmask(byte* attributes, byte* set);
}
