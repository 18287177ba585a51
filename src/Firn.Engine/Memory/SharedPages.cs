using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Firn.Linux.Procfs;

namespace Firn.Engine.Memory;

/// <summary>Pages that a child still shares with its parent since the fork: found by their frames, written once.</summary>
/// <remarks>
/// <para>
/// Such a page is marked in the child's page map as one of the parent *set* (<see cref="PageFlags.Parent"/>), and the images directory gets
/// a parent set that consists of links alone: there the child's page map is its donor's: its parent's, or that of a sibling which has more
/// pages alike (<see cref="FewPages"/>). What the donor has from a donor of its own goes on in the parent set's parent. To any reader of
/// the format this is an ordinary chain of incremental images.
/// </para>
/// <para>Reading pagemap does not break the sharing, as process_vm_readv(2) would.</para>
/// </remarks>
internal static class SharedPages
{
    private const int ChunkPages = 1 << 15;
    private const string ParentLink = "parent";

    [ThreadStatic]
    private static ulong[]? buffer;

    /// <summary>Finds out which pages of a child have the very same frames in its parent.</summary>
    /// <param name="child">The child's page map.</param>
    /// <param name="parent">The entries of its parent's.</param>
    /// <param name="candidates">Where both have private memory, and the parent has pages of its own.</param>
    public static List<AddressRange> Find(Pagemap child, PagemapEntries parent, IReadOnlyList<AddressRange> candidates)
    {
        var shared = new List<AddressRange>();
        ulong[] first = buffer ??= new ulong[ChunkPages];
        foreach (AddressRange candidate in candidates)
        {
            for (ulong start = candidate.Start; start < candidate.End; start += (ulong)ChunkPages * Kernel.PageSize)
            {
                int pages = (int)Math.Min(ChunkPages, (candidate.End - start) / Kernel.PageSize);
                child.ReadEntries(start, first.AsSpan(0, pages));
                Compare(start, first.AsSpan(0, pages), parent.Read(start, pages), shared);
            }
        }

        return shared;
    }

    /// <summary>Those of some pages that are not mapped by this process alone.</summary>
    public static List<AddressRange> FindForeign(Pagemap map, IReadOnlyList<AddressRange> ranges)
    {
        var foreign = new List<AddressRange>();
        ulong[] entries = buffer ??= new ulong[ChunkPages];
        foreach (AddressRange range in ranges)
        {
            for (ulong start = range.Start; start < range.End; start += (ulong)ChunkPages * Kernel.PageSize)
            {
                int pages = (int)Math.Min(ChunkPages, (range.End - start) / Kernel.PageSize);
                map.ReadEntries(start, entries.AsSpan(0, pages));
                for (int i = 0; i < pages; i++)
                {
                    if ((entries[i] & Pagemap.Exclusive) == 0)
                    {
                        ulong address = start + ((ulong)i * Kernel.PageSize);
                        PageRuns.Append(foreign, new AddressRange(address, address + Kernel.PageSize));
                    }
                }
            }
        }

        return foreign;
    }

    /// <summary>Adds the runs of pages whose entries name the same frame, or the same place in the swap.</summary>
    internal static void Compare(ulong address, ReadOnlySpan<ulong> first, ReadOnlySpan<ulong> second, List<AddressRange> shared)
    {
        int begin = -1;
        for (int i = 0; i <= first.Length; i++)
        {
            bool same = i < first.Length
                && ((first[i] ^ second[i]) & Pagemap.PlaceMask) == 0
                && (first[i] & Pagemap.FrameMask) != 0;
            if (same && begin < 0)
            {
                begin = i;
            }
            else if (!same && begin >= 0)
            {
                PageRuns.Append(
                    shared, new AddressRange(address + ((ulong)begin * Kernel.PageSize), address + ((ulong)i * Kernel.PageSize)));
                begin = -1;
            }
        }
    }

    /// <summary>Makes the parent sets that the page maps speak of. All page maps are written; the set is not yet published.</summary>
    /// <param name="context">The dump.</param>
    /// <param name="sharing">The tasks that share pages with their parents, with the ids of the pages files of all.</param>
    public static void WriteLinks(DumpContext context, IReadOnlyDictionary<DumpedTask, TaskPages> sharing)
    {
        string top = context.Options.ImagesDirectory;
        string topLink = Path.Combine(top, ParentLink);
        if (Sys.ReadLink(topLink, out _)?.StartsWith(DirectoryName(0), StringComparison.Ordinal) == true)
        {
            // Of an older set in the same directory.
            Sys.UnlinkAt(At.AT_FDCWD, topLink).OrThrow($"unlinkat({topLink})");
        }

        // The donor of each sharing task in the generation that is being linked.
        var donors = sharing.Values.Where(pages => pages.Donor is not null).ToDictionary(pages => pages.Task, pages => pages.Donor!);
        for (int generation = 1; donors.Count > 0; generation++)
        {
            string name = DirectoryName(generation);
            string directory = Path.Combine(top, name);
            SysResult made = Sys.MkdirAt(At.AT_FDCWD, directory, 0x1c0);
            if (made.Errno != Errno.EEXIST)
            {
                made.OrThrow($"mkdirat({directory})");
            }

            Link(
                context,
                generation == 1 ? name : $"../{name}",
                generation == 1 ? ParentLink : $"{DirectoryName(generation - 1)}/{ParentLink}");
            foreach ((DumpedTask task, TaskPages donor) in donors)
            {
                LinkPagemap(context, donor.Task.InnerPid, $"{name}/{ImageKind.Pagemap.FileName((ulong)task.InnerPid)}");
            }

            foreach (uint id in donors.Values.Select(donor => donor.File.Id).Distinct())
            {
                Link(context, $"../{ImageKind.Pages.FileName(id)}", $"{name}/{ImageKind.Pages.FileName(id)}");
            }

            context.WrittenFiles.Add(name);
            donors = donors.Where(row => row.Value.Donor is not null).ToDictionary(row => row.Key, row => row.Value.Donor!);
        }
    }

    private static string DirectoryName(int generation) => generation == 0 ? "shared-pages-" : $"shared-pages-{generation}";

    // A second name, which costs a file system a tenth of a symbolic link; where it has none, a link will do.
    private static void LinkPagemap(DumpContext context, int donor, string name)
    {
        string file = ImageKind.Pagemap.FileName((ulong)donor);
        string directory = context.Options.ImagesDirectory;
        string path = Path.Combine(directory, name);
        _ = Sys.UnlinkAt(At.AT_FDCWD, path);
        if (Sys.LinkAt(At.AT_FDCWD, Path.Combine(directory, file), At.AT_FDCWD, path, 0).IsError)
        {
            Link(context, $"../{file}", name);
        }
        else
        {
            context.WrittenFiles.Add(name);
        }
    }

    private static void Link(DumpContext context, string target, string name)
    {
        string path = Path.Combine(context.Options.ImagesDirectory, name);
        _ = Sys.UnlinkAt(At.AT_FDCWD, path);
        Sys.SymlinkAt(target, At.AT_FDCWD, path).OrThrow($"symlinkat({target}, {path})");
        context.WrittenFiles.Add(name);
    }
}
