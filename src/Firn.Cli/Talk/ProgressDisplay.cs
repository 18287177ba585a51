using Firn.Engine;
using Spectre.Console;

namespace Firn.Cli.Talk;

/// <summary>Shows phases and bytes on a terminal while long work goes on; short work and programs never see it.</summary>
internal sealed class ProgressDisplay : IProgress<CheckpointProgress>
{
    /// <summary>Work that ends sooner is not worth a display.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(300);

    private readonly Lock guard = new();
    private CheckpointProgress latest;

    /// <summary>Does the work, with a display if a person looks on.</summary>
    public static T Run<T>(Func<IProgress<CheckpointProgress>?, T> work)
    {
        if (!StandardError.IsTerminal)
        {
            return work(null);
        }

        var display = new ProgressDisplay();
        var task = Task.Run(() => work(display));
        if (!((IAsyncResult)task).AsyncWaitHandle.WaitOne(Patience))
        {
            display.Show(task);
        }

        return task.GetAwaiter().GetResult();
    }

    /// <inheritdoc/>
    public void Report(CheckpointProgress value)
    {
        lock (guard)
        {
            latest = value;
        }
    }

    private void Show(Task work)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        console.Progress()
            .AutoClear(true)
            .Columns(
                new TaskDescriptionColumn(),
                new ProgressBarColumn(),
                new PercentageColumn(),
                new DownloadedColumn(),
                new TransferSpeedColumn())
            .Start(context =>
            {
                Dictionary<string, ProgressTask> rows = [];
                ProgressTask? before = null;
                while (!((IAsyncResult)work).AsyncWaitHandle.WaitOne(50))
                {
                    CheckpointProgress now;
                    lock (guard)
                    {
                        now = latest;
                    }

                    if (now.Phase is null)
                    {
                        continue;
                    }

                    if (!rows.TryGetValue(now.Phase, out ProgressTask? row))
                    {
                        before?.StopTask();
                        rows.Add(now.Phase, row = context.AddTask(now.Phase));
                        before = row;
                    }

                    row.IsIndeterminate = now.Total == 0;
                    row.MaxValue = Math.Max(1, now.Total);
                    row.Value = now.Done;
                }
            });
    }
}
