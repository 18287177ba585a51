using System.Diagnostics;
using System.Globalization;
using System.Text;
using Firn.Linux;
using Firn.Linux.Abi;
using Microsoft.Extensions.Logging;

namespace Firn.Cli.Talk;

/// <summary>The log in CRIU's form, `(00.012345) Error (firn/dump): text`, which engines and people search for `Error`.</summary>
/// <remarks>
/// Lines are gathered and written together: after a warning or an error, at the end, and when there are many. Without a file they go to
/// standard error, with times from level 3 on.
/// </remarks>
internal sealed class LogFile : ILogger, IDisposable
{
    private const int Enough = 1 << 14;
    private readonly Fd? file;
    private readonly int level;
    private readonly string place;
    private readonly bool withTimes;
    private readonly StringBuilder pending = new();
    private readonly Lock guard = new();
    private readonly long start = Stopwatch.GetTimestamp();

    private LogFile(Fd? file, int level, string place)
    {
        this.file = file;
        this.level = level;
        this.place = place;
        withTimes = file is not null || level >= 3;
    }

    /// <summary>Whether lines go to a file.</summary>
    public bool HasFile => file is not null;

    /// <summary>The first error, as its line stands in the log but without the time; null so far.</summary>
    public string? FirstError { get; private set; }

    /// <summary>Where lines go.</summary>
    public int Descriptor => file?.Number ?? 2;

    /// <summary>Opens the log of a command.</summary>
    /// <exception cref="UsageException">The file can't be made.</exception>
    public static LogFile Open(Invocation invocation)
    {
        Fd? file = null;
        if (invocation.LogFile is not null)
        {
            string path = Path.Combine(invocation.WorkPath, invocation.LogFile);
            SysResult opened = Sys.OpenAt(
                At.AT_FDCWD,
                path,
                OpenFlags.O_WRONLY | OpenFlags.O_CREAT | OpenFlags.O_TRUNC | OpenFlags.O_APPEND | OpenFlags.O_CLOEXEC,
                0x180);
            if (opened.IsError)
            {
                throw new UsageException($"the log {path} can't be written: {ErrnoText.Describe(opened.Errno)}; name another with -o");
            }

            file = new Fd(opened.Int32);
        }

        return new LogFile(file, invocation.Verbosity, $"firn/{invocation.Verb}");
    }

    /// <inheritdoc/>
    public bool IsEnabled(LogLevel logLevel) => Rank(logLevel) <= level;

    /// <inheritdoc/>
    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    /// <inheritdoc/>
    public void Log<TState>(
        LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        int rank = Rank(logLevel);
        if (!IsEnabled(logLevel) && (rank != 1 || FirstError is not null))
        {
            return;
        }

        string kind = rank switch { 1 => $"Error ({place}): ", 2 => $"Warn  ({place}): ", _ => string.Empty };
        string text = formatter(state, exception);
        lock (guard)
        {
            if (rank == 1)
            {
                FirstError ??= $"{kind}{text}\n";
            }

            if (!IsEnabled(logLevel))
            {
                return;
            }

            if (withTimes)
            {
                TimeSpan since = Stopwatch.GetElapsedTime(start);
                _ = pending.Append(
                    CultureInfo.InvariantCulture, $"({(long)since.TotalSeconds:00}.{since.Ticks % TimeSpan.TicksPerSecond / 10:000000}) ");
            }

            _ = pending.Append(kind).Append(text);
            if (exception is not null)
            {
                _ = pending.Append(": ").Append(exception.Message);
            }

            _ = pending.Append('\n');
            if (rank <= 2 || pending.Length >= Enough)
            {
                WritePending();
            }
        }
    }

    /// <summary>Writes what was gathered.</summary>
    public void Flush()
    {
        lock (guard)
        {
            WritePending();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Flush();
        file?.Dispose();
    }

    private static int Rank(LogLevel logLevel) => logLevel switch
    {
        LogLevel.Critical or LogLevel.Error => 1,
        LogLevel.Warning => 2,
        LogLevel.Information => 3,
        _ => 4,
    };

    private void WritePending()
    {
        if (pending.Length > 0)
        {
            StandardError.Write(Descriptor, Encoding.UTF8.GetBytes(pending.ToString()));
            _ = pending.Clear();
        }
    }
}
