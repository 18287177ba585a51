using System.Globalization;
using Firn.Linux;

namespace Firn.Engine.Tree;

/// <summary>The map of a user namespace: /proc/PID/uid_map or gid_map, as Firn's own user namespace sees it. user_namespaces(7).</summary>
internal sealed class IdMap
{
    // What the kernel shows for an id without a place in the map (/proc/sys/kernel/overflowuid).
    private const uint Overflow = 65534;

    private readonly List<(uint Inner, uint Outer, uint Count)> ranges = [];

    private IdMap()
    {
    }

    /// <summary>Reads the map of a task's user namespace.</summary>
    /// <param name="pid">The task.</param>
    /// <param name="name">uid_map or gid_map.</param>
    /// <exception cref="LinuxException">The task is gone.</exception>
    public static IdMap Read(int pid, string name) => Parse(Sys.ReadText($"/proc/{pid}/{name}"));

    /// <summary>Parses the text of a map.</summary>
    public static IdMap Parse(string text)
    {
        var map = new IdMap();
        foreach (string line in text.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            uint[] numbers = [.. line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
                .Select(word => uint.Parse(word, CultureInfo.InvariantCulture))];
            map.ranges.Add((numbers[0], numbers[1], numbers[2]));
        }

        return map;
    }

    /// <summary>The id within the namespace, of one that Firn sees.</summary>
    public uint ToInner(uint outer)
    {
        foreach ((uint inner, uint start, uint count) in ranges)
        {
            if (outer >= start && outer - start < count)
            {
                return inner + (outer - start);
            }
        }

        return Overflow;
    }

    /// <summary>The id that Firn sees, of one within the namespace.</summary>
    public uint ToOuter(uint inner)
    {
        foreach ((uint start, uint outer, uint count) in ranges)
        {
            if (inner >= start && inner - start < count)
            {
                return outer + (inner - start);
            }
        }

        return Overflow;
    }
}
