using Firn.Cli.Talk;
using Firn.Engine;

namespace Firn.Cli.Commands;

/// <summary>`firn cpuinfo dump` and `firn cpuinfo check`.</summary>
internal static class ProcessorCommand
{
    public static int Run(Invocation invocation)
    {
        Directories.MustExist(invocation);
        switch (invocation.Operands)
        {
            case ["dump"]:
                ProcessorImage.Write(invocation.ImagesDirectory);
                return 0;
            case ["check"]:
                IReadOnlyList<string> missing = ProcessorImage.Missing(invocation.ImagesDirectory);
                if (missing.Count == 0)
                {
                    return 0;
                }

                StandardError.WriteLine($"cpuinfo: this processor lacks {string.Join(", ", missing)}");
                return 1;
            default:
                throw new UsageException("cpuinfo what? `cpuinfo dump` writes cpuinfo.img, `cpuinfo check` compares with it");
        }
    }
}
