using System.Runtime.ExceptionServices;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Events;

/// <summary>Does something with files under descriptor numbers that are the tasks', though Firn may use those numbers itself.</summary>
/// <remarks>
/// Where a number is taken in Firn, a thread of its own steps in, with a descriptor table of its own (unshare(2), CLONE_FILES): it can
/// put any file at any number, and takes its table with it when it ends.
/// </remarks>
internal static class ForeignNumbers
{
    private const int SIG_BLOCK = 0;

    /// <summary>Acts on each file in turn while it has its number; the index says which.</summary>
    /// <param name="files">Firn's descriptor of each file, and the number that it is to have.</param>
    /// <param name="act">What to do.</param>
    /// <exception cref="LinuxException">A descriptor can't be made.</exception>
    public static void Run(IReadOnlyList<(int Source, int Number)> files, Action<int> act)
    {
        if (files.Any(static file => !Sys.Fcntl(file.Number, FcntlCommand.F_GETFD).IsError))
        {
            RunWithOwnTable(files, act);
            return;
        }

        for (int i = 0; i < files.Count; i++)
        {
            // Lowest free from the number on: another number means that Firn has opened something meanwhile.
            (int source, int number) = files[i];
            using var fd = new Fd(
                Sys.Fcntl(source, FcntlCommand.F_DUPFD_CLOEXEC, number).OrThrow($"fcntl({source}, F_DUPFD_CLOEXEC, {number})").Int32);
            if (fd.Number == number)
            {
                act(i);
            }
            else
            {
                int index = i;
                RunWithOwnTable([files[i]], _ => act(index));
            }
        }
    }

    private static void RunWithOwnTable(IReadOnlyList<(int Source, int Number)> files, Action<int> act)
    {
        ExceptionDispatchInfo? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                // A signal handler of the runtime's must not write where its pipe was.
                Sys.SignalMask(SIG_BLOCK, ulong.MaxValue, out _).OrThrow("rt_sigprocmask");
                Sys.Unshare(CloneFlags.CLONE_FILES).OrThrow("unshare(CLONE_FILES)");
                for (int i = 0; i < files.Count; i++)
                {
                    Sys.Dup3(files[i].Source, files[i].Number).OrThrow($"dup3({files[i].Source}, {files[i].Number})");
                    act(i);
                }
            }
            catch (LinuxException exception)
            {
                failure = ExceptionDispatchInfo.Capture(exception);
            }
        });
        thread.Start();
        thread.Join();
        failure?.Throw();
    }
}
