namespace Firn.Cli;

/// <summary>The command line is not one that Firn understands. Its message is one sentence, with what to do.</summary>
internal sealed class UsageException(string message) : Exception(message);
