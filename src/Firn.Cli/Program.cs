using Firn.Cli;
using Firn.Cli.Commands;
using Firn.Cli.Talk;
using Firn.Engine;

const string Version = "0.1.0";
if (Checkpointer.RunHelper(args) is { } helped)
{
    return helped;
}

if (args is [DemoWorker.Verb, ..])
{
    return DemoWorker.Run();
}

if (args is [ServiceCommand.WorkerVerb or ServiceCommand.ListenerVerb, string inherited, ..])
{
    return ServiceCommand.RunInherited(args[0], inherited, args[2..]);
}

Invocation invocation;
try
{
    invocation = CommandLine.Parse(args);
}
catch (UsageException exception)
{
    StandardError.WriteLine($"firn: {exception.Message}");
    return 1;
}

if (invocation.Version)
{
    // Tools that call criu look for the first line.
    string name = Path.GetFileName(Environment.GetCommandLineArgs()[0]);
    Console.Out.WriteLine(
        name == "criu" ? "Version: 4.2" : $"firn {Version} (command line and images of CRIU 4.2)");
    return 0;
}

if (invocation.Help)
{
    return HelpText.Print(invocation.Verb);
}

if (invocation.Verb is "dump" or "restore")
{
    // The tree stands still meanwhile: a collection of garbage can wait until it runs again. Where that much can't be had, it is as ever.
    _ = GC.TryStartNoGCRegion(128 << 20);
}

return Failure.Guard(
    invocation.Verb,
    () => invocation.Verb switch
    {
        "dump" => DumpCommand.Run(invocation),
        "restore" => RestoreCommand.Run(invocation),
        "check" => CheckCommand.Run(invocation),
        "freeze" => FreezeCommand.Freeze(invocation),
        "thaw" => FreezeCommand.Thaw(invocation),
        "swrk" => SwrkCommand.Run(invocation, args),
        "service" => ServiceCommand.Run(invocation, args),
        "cpuinfo" => ProcessorCommand.Run(invocation),
        "install" => InstallCommand.Run(invocation),
        "decode" => ImageCommands.Decode(invocation),
        "encode" => ImageCommands.Encode(invocation),
        _ => DemoCommand.Run(invocation),
    });
