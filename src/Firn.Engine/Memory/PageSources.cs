using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>A pages file of an image set. There is one object for each file, by whatever path it was reached.</summary>
/// <param name="path">A path that leads to it.</param>
/// <param name="size">Its size in bytes.</param>
internal sealed class PagesSource(string path, long size) : IDisposable
{
    /// <summary>A path that leads to it.</summary>
    public string Path { get; } = path;

    /// <summary>Its size in bytes.</summary>
    public long Size { get; } = size;

    /// <summary>The descriptor, once it is open.</summary>
    public Fd? Descriptor { get; set; }

    /// <inheritdoc/>
    public void Dispose() => Descriptor?.Dispose();
}

/// <summary>A run of pages, and where their content is.</summary>
/// <param name="Start">The first address.</param>
/// <param name="End">The address behind the last one.</param>
/// <param name="File">The pages file.</param>
/// <param name="Offset">Where in it the run begins, in bytes.</param>
internal readonly record struct SourceRun(ulong Start, ulong End, PagesSource File, long Offset)
{
    /// <summary>The part of it within a window.</summary>
    public SourceRun Clip(ulong start, ulong end)
    {
        ulong first = Math.Max(start, Start);
        return this with { Start = first, End = Math.Min(end, End), Offset = Offset + (long)(first - Start) };
    }
}

/// <summary>Finds the content of every page of an image set, through the chain of parent sets, and verifies it.</summary>
/// <param name="directory">The images directory.</param>
internal sealed class PageSources(string directory) : IDisposable
{
    private const int MaxGenerations = 256;
    private const string ParentLink = "parent";

    private readonly Dictionary<(ulong Device, ulong Inode), PagesSource> files = [];
    private readonly Dictionary<(ulong Device, ulong Inode), PageMap> maps = [];
    private readonly Dictionary<string, List<SourceRun>?> resolved = [];

    /// <summary>All pages files that are needed.</summary>
    public IEnumerable<PagesSource> Files => files.Values;

    /// <summary>The pages of a task or shared object, by ascending address.</summary>
    /// <param name="kind">The kind of page map.</param>
    /// <param name="id">The pid or shmid.</param>
    /// <exception cref="ImageFormatException">A file is absent or damaged.</exception>
    public List<SourceRun> Resolve(ImageKind kind, ulong id)
        => Resolve(directory, kind.FileName(id), 0)
            ?? throw new ImageFormatException(
                kind.FileName(id), -1, ImageDiagnostic.Truncated, "the file is absent; the image set is not complete, make the dump again");

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (PagesSource file in files.Values)
        {
            file.Dispose();
        }
    }

    /// <summary>The parts of a run of a parent set.</summary>
    /// <param name="parent">The pages of the parent set.</param>
    /// <param name="run">The run.</param>
    /// <param name="target">Where the parts are added.</param>
    /// <returns>False if the parent set lacks some of the pages.</returns>
    internal static bool Inherit(IReadOnlyList<SourceRun>? parent, PageRun run, List<SourceRun> target)
    {
        ulong position = run.Address;
        for (int i = parent is null ? 0 : FirstEndingBehind(parent, position); parent is not null
            && i < parent.Count
            && position < run.End; i++)
        {
            if (parent[i].Start > position)
            {
                return false;
            }

            target.Add(parent[i].Clip(position, run.End));
            position = Math.Min(parent[i].End, run.End);
        }

        return position >= run.End;
    }

    private static int FirstEndingBehind(IReadOnlyList<SourceRun> runs, ulong address)
    {
        int low = 0;
        int high = runs.Count;
        while (low < high)
        {
            int middle = (int)((uint)(low + high) / 2);
            if (runs[middle].End <= address)
            {
                low = middle + 1;
            }
            else
            {
                high = middle;
            }
        }

        return low;
    }

    private List<SourceRun>? Resolve(string set, string name, int generation)
    {
        string path = Path.Combine(set, name);
        if (!resolved.TryGetValue(path, out List<SourceRun>? runs))
        {
            PageMap? map = generation < MaxGenerations ? ReadMap(path, name) : null;
            runs = map is null ? null : Resolve(set, name, generation, map);
            resolved.Add(path, runs);
        }

        return runs;
    }

    private List<SourceRun> Resolve(string set, string name, int generation, PageMap map)
    {
        var runs = new List<SourceRun>(map.Runs.Count);
        PagesSource? file = null;
        long offset = 0;
        foreach (PageRun run in map.Runs)
        {
            if (run.IsPresent)
            {
                file ??= OpenSource(set, map, name);
                long length = (long)(run.Pages << PageMap.PageShift);
                runs.Add(new SourceRun(run.Address, run.End, file, offset));
                offset += length;
            }
            else if ((run.Flags & PageFlags.Parent) != 0)
            {
                if (!Inherit(Resolve(Path.Combine(set, ParentLink), name, generation + 1), run, runs))
                {
                    throw new ImageFormatException(
                        name,
                        -1,
                        ImageDiagnostic.BadPageMap,
                        $"the pages at 0x{run.Address:x} are said to be in the parent set, which has not all of them");
                }
            }
            else if ((run.Flags & PageFlags.Lazy) != 0)
            {
                throw new ImageFormatException(
                    name,
                    -1,
                    ImageDiagnostic.BadPageMap,
                    $"the pages at 0x{run.Address:x} were left with a lazy page server; fetch them into the set first");
            }
        }

        return runs;
    }

    private PageMap? ReadMap(string path, string name)
    {
        SysResult found = Sys.StatAt(At.AT_FDCWD, path, out FileStat stat);
        if (found.IsError)
        {
            return null;
        }

        if (!maps.TryGetValue((stat.st_dev, stat.st_ino), out PageMap? map))
        {
            map = PageMap.Decode(File.ReadAllBytes(path), name);
            maps.Add((stat.st_dev, stat.st_ino), map);
        }

        return map;
    }

    private PagesSource OpenSource(string set, PageMap map, string mapName)
    {
        string name = ImageKind.Pages.FileName(map.PagesId);
        string path = Path.Combine(set, name);
        SysResult found = Sys.StatAt(At.AT_FDCWD, path, out FileStat stat);
        long needed = (long)(map.PresentPages << PageMap.PageShift);
        if (found.IsError)
        {
            throw new ImageFormatException(
                name, -1, ImageDiagnostic.Truncated, $"{mapName} names this file, which can't be opened: {found.Errno}");
        }

        if (stat.st_size < needed)
        {
            throw new ImageFormatException(
                name,
                stat.st_size,
                ImageDiagnostic.Truncated,
                $"the file ends here, though {mapName} says that it has {needed} bytes; make the dump again");
        }

        if (!files.TryGetValue((stat.st_dev, stat.st_ino), out PagesSource? file))
        {
            file = new PagesSource(path, stat.st_size);
            files.Add((stat.st_dev, stat.st_ino), file);
        }

        return file;
    }
}
