using System.Globalization;
using System.Text;
using Firn.Cli.Talk;
using Firn.Engine;
using Microsoft.Extensions.Logging;

namespace Firn.Cli.Commands;

/// <summary>`firn check`: the kernel, or with --pid a tree of processes.</summary>
internal static class CheckCommand
{
    public static int Run(Invocation invocation)
    {
        using LogFile log = LogFile.Open(invocation);
        if (invocation.Pid == 0)
        {
            // Meant so by whoever knows dump, and of no other use here.
            invocation.Pid = invocation.Tree;
        }

        return invocation.Pid != 0 ? CheckTree(invocation, log)
            : invocation.Features.Count > 0 ? CheckFeatures(invocation)
            : CheckKernel(invocation);
    }

    private static int CheckTree(Invocation invocation, LogFile log)
    {
        IReadOnlyList<Problem> problems = Checkpointer.Examine(invocation.Pid, log);
        if (invocation.Json)
        {
            Account.WriteJson(json =>
            {
                json.WriteNumber("pid", invocation.Pid);
                json.WriteBoolean("canBeDumped", problems.Count == 0);
                json.WriteStartArray("problems");
                foreach (Problem problem in problems)
                {
                    json.WriteStartObject();
                    json.WriteString("identifier", problem.Identifier);
                    json.WriteNumber("pid", problem.Pid);
                    json.WriteString("resource", problem.Resource);
                    json.WriteString("reason", problem.Reason);
                    json.WriteString("remedy", problem.Remedy);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            });
        }
        else
        {
            var text = new StringBuilder();
            foreach (Problem problem in problems)
            {
                _ = text.Append(problem).Append('\n');
            }

            _ = problems.Count == 0
                ? text.Append(CultureInfo.InvariantCulture, $"The tree of pid {invocation.Pid} can be dumped.\n")
                : text.Append(CultureInfo.InvariantCulture, $"The tree of pid {invocation.Pid} can't be dumped as it is.\n");
            Print(text.ToString());
        }

        return problems.Count == 0 ? 0 : 1;
    }

    /// <remarks>As `criu check --feature`: the exit status is the answer. An unknown name is an error of its own.</remarks>
    private static int CheckFeatures(Invocation invocation)
    {
        bool all = true;
        foreach (string name in invocation.Features)
        {
            if (name == "list")
            {
                Print(string.Join(' ', KernelFeatures.All.Select(probe => probe.Name)) + "\n");
                return 0;
            }

            FeatureProbe probe = KernelFeatures.All.FirstOrDefault(probe => probe.Name == name)
                ?? throw new UsageException($"there is no feature `{name}`; `firn check --feature list` lists them");
            bool supported = KernelFeatures.Probe(probe).Supported;
            all &= supported;
            if (supported)
            {
                Print($"{name} is supported\n");
            }
            else
            {
                StandardError.WriteLine($"check: {name} is not supported by this kernel, or not allowed to this process ({probe.Meaning})");
            }
        }

        return all ? 0 : 1;
    }

    private static int CheckKernel(Invocation invocation)
    {
        IReadOnlyList<KernelFeature> features = Checkpointer.CheckKernel();
        bool possible = features.All(feature => feature.Supported || feature.Need != FeatureNeed.Required);
        bool whole = features.All(feature => feature.Supported || !IsAsked(feature, invocation));
        if (invocation.Json)
        {
            Account.WriteJson(json =>
            {
                json.WriteBoolean("looksGood", possible);
                json.WriteStartArray("features");
                foreach (KernelFeature feature in features)
                {
                    json.WriteStartObject();
                    json.WriteString("name", feature.Name);
                    json.WriteString("need", feature.Need switch
                    {
                        FeatureNeed.Required => "required",
                        FeatureNeed.Extra => "extra",
                        _ => "experimental",
                    });
                    json.WriteString("meaning", feature.Meaning);
                    json.WriteBoolean("supported", feature.Supported);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            });
        }
        else
        {
            Print(Table(features) + Verdict(possible, whole));
        }

        return possible && whole ? 0 : 1;
    }

    private static bool IsAsked(KernelFeature feature, Invocation invocation) => feature.Need switch
    {
        FeatureNeed.Required => true,
        FeatureNeed.Extra => invocation.CheckExtra,
        _ => invocation.CheckExperimental,
    };

    private static string Table(IReadOnlyList<KernelFeature> features)
    {
        var text = new StringBuilder();
        int width = features.Max(feature => feature.Name.Length);
        foreach (KernelFeature feature in features)
        {
            string answer = feature.Supported ? "yes" : feature.Need == FeatureNeed.Required ? "NO " : "no ";
            _ = text.Append(answer).Append("  ").Append(feature.Name.PadRight(width)).Append("  ").Append(feature.Meaning).Append('\n');
        }

        return text.ToString();
    }

    /// <remarks>The first words are CRIU's: scripts look for them.</remarks>
    private static string Verdict(bool possible, bool whole) => (possible, whole) switch
    {
        (false, _) => "Does not look good.\n",
        (_, false)
            => "Looks good but some kernel features are missing\nwhich, depending on your process tree, may cause\ndump or restore "
                + "failure.\n",
        _ => "Looks good.\n",
    };

    private static void Print(string text) => StandardError.Write(1, Encoding.UTF8.GetBytes(text));
}
