// Measures dumps, restores and standstills as medians of paired runs: in each round every tool does the same to a fresh target, one after
// the other. The first round warms the memory and is not counted. Prints a table in Markdown.
using System.Globalization;
using Firn.Bench;

int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 7;
string only = args.Length > 1 ? args[1] : string.Empty;
List<Tool> tools = [Tool.Firn];
if (Tool.Criu is { } criu)
{
    tools.Add(criu);
}

Console.Out.WriteLine("| target | tool | dump (ms) | restore (ms) | stands still (ms) | images |");
Console.Out.WriteLine("| --- | --- | ---: | ---: | ---: | ---: |");
foreach (Measured measured in Measured.All.Where(one => one.Name.Contains(only, StringComparison.Ordinal)))
{
    foreach ((Tool tool, Samples samples) in Rounds.Run(measured, tools, rounds))
    {
        Console.Out.WriteLine(
            $"| {measured.Name} | {tool.Name} | {samples.Dump} | {samples.Restore} | {samples.Still} | {samples.Images} |");
    }

    (string write, string read) = Rounds.Limit(measured, rounds);
    Console.Out.WriteLine($"| {measured.Name} | plain write, read | {write} | {read} | | |");
}

if (ContainerRounds.Name.Contains(only, StringComparison.OrdinalIgnoreCase))
{
    foreach ((Tool tool, Samples samples) in ContainerRounds.Run(tools, rounds))
    {
        Console.Out.WriteLine(
            $"| {ContainerRounds.Name} | {tool.Name} | {samples.Dump} | {samples.Restore} | {samples.Still} | {samples.Images} |");
    }
}

if ("ASP.NET".Contains(only, StringComparison.OrdinalIgnoreCase))
{
    Console.Out.WriteLine();
    Console.Out.WriteLine("| ASP.NET application, content root / | until the first answer (ms) |");
    Console.Out.WriteLine("| --- | ---: |");
    foreach ((string what, string milliseconds) in WebRounds.Run(tools, rounds))
    {
        Console.Out.WriteLine($"| {what} | {milliseconds} |");
    }
}

Attic.Clear();
