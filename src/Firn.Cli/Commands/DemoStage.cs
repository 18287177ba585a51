using Firn.Cli.Talk;
using Firn.Engine;

namespace Firn.Cli.Commands;

/// <summary>What `firn demo` shows: on a terminal with some colour and a line that moves, elsewhere as plain lines.</summary>
internal sealed class DemoStage
{
    private const string Indent = "   ";
    private readonly bool moves = !Console.IsOutputRedirected && Environment.GetEnvironmentVariable("TERM") is not (null or "" or "dumb");
    private readonly bool colours;
    private string watched = string.Empty;

    public DemoStage() => colours = moves && string.IsNullOrEmpty(Environment.GetEnvironmentVariable("NO_COLOR"));

    public void Title(string number, string text)
        => Console.Out.WriteLine($"{(number == "1" ? string.Empty : "\n")}{Painted($"{number}  {text}", "1")}");

    public void Line(string text) => Console.Out.WriteLine(Indent + text);

    /// <summary>What the program says now, in place of what it said before.</summary>
    public void Watch(string line)
    {
        if (moves && line != watched)
        {
            watched = line;
            Console.Out.Write($"\r{Indent}{Painted(line, "2")}\x1b[K\r");
        }
    }

    public void Processes(DemoFacts facts)
    {
        foreach (DemoProcess process in facts.Processes)
        {
            string threads = process.Threads == 1 ? "1 thread" : $"{process.Threads} threads";
            Console.Out.WriteLine($"{Indent}pid {process.Pid,-8}{process.Name,-10}{threads}{(moves ? "\x1b[K" : string.Empty)}");
        }
    }

    public void Says(string line) => Line($"It says: {Painted(line, "36")}");

    public void Phases(IReadOnlyList<PhaseTime> phases)
    {
        foreach (PhaseTime phase in phases)
        {
            Console.Out.WriteLine(
                $"{Indent}{phase.Name,-14}{Account.Milliseconds(phase.Duration),10}   {Painted(Meaning(phase.Name), "2")}".TrimEnd());
        }
    }

    public void Verdict(string text) => Line(Painted(text, "32"));

    /// <remarks>Five phases of a checkpoint, and the stages of a restart.</remarks>
    private static string Meaning(string phase) => phase switch
    {
        "pre-dump" => "who, and where the images go; it runs",
        "freeze" => "every thread of every process is stopped",
        "dump" => "all that they are and have is saved",
        "thaw or kill" => "the tree ends, or runs on with --leave-running",
        "post-dump" => "the images become valid, by one rename",
        "prepare" => "all images are read and verified",
        "files" => "open files, pipes and sockets are made",
        "root task" => "an empty task with the right pid",
        "forking" => "its memory, and its children",
        "tasks" => "threads, and all that tasks carry",
        "resume" => "registers; then all are let go at once",
        _ => string.Empty,
    };

    private string Painted(string text, string style) => colours ? $"\x1b[{style}m{text}\x1b[0m" : text;
}
