using System.Globalization;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Memory;

/// <summary>The pages of a process that has few of its own: Firn reads and writes them itself, and leaves out what a sibling has
/// alike.</summary>
/// <remarks>
/// <para>
/// Asking the process to write costs two stops, a socket pair and a descriptor, whatever the number of pages: more than copying a few
/// twice.
/// </para>
/// <para>
/// Processes forked by one parent have touched the same pages in the same way: of 14 pages that a child of fork(2) has for itself, 12 are
/// those of the child before it, byte for byte. They are marked as pages of the parent set, whose page map is then that sibling's instead
/// of the parent's (see <see cref="SharedPages"/>).
/// </para>
/// <para>/proc/PID/mem does not break the sharing of pages as process_vm_readv(2) does.</para>
/// </remarks>
internal sealed class FewPages
{
    private const int MaxPages = 256;

    private readonly TaskPages pages;
    private readonly IReadOnlyList<AddressRange> ranges;
    private readonly byte[] content;

    private FewPages(TaskPages pages, IReadOnlyList<AddressRange> ranges, byte[] content)
    {
        this.pages = pages;
        this.ranges = ranges;
        this.content = content;
    }

    /// <summary>Reads what is to be written of a process; null if that is much.</summary>
    /// <param name="pages">The process, of which it is known what it shares with its parent.</param>
    /// <exception cref="LinuxException">It can't be read.</exception>
    public static FewPages? Read(TaskPages pages)
    {
        List<AddressRange> ranges = pages.Written();
        long size = ranges.Sum(static range => (long)range.Length);
        if (size > (long)MaxPages * Kernel.PageSize)
        {
            return null;
        }

        byte[] content = GC.AllocateUninitializedArray<byte>((int)size);
        string path = string.Create(CultureInfo.InvariantCulture, $"/proc/{pages.Task.Pid}/mem");
        using Fd memory = Sys.Open(path, OpenFlags.O_RDONLY);
        int at = 0;
        foreach (AddressRange range in ranges)
        {
            int length = (int)range.Length;
            SysResult read = Sys.Pread(memory.Number, content.AsSpan(at, length), (long)range.Start);
            if (read.OrThrow($"pread({path}, 0x{range.Start:x})").Int32 != length)
            {
                return null;
            }

            at += length;
        }

        return new FewPages(pages, ranges, content);
    }

    /// <summary>Leaves out the pages that a sibling has with the same content.</summary>
    /// <param name="sibling">A process with the same parent, whose own pages are all written.</param>
    public void LeaveOutAlike(FewPages sibling)
    {
        // All that the parent set is asked for must be found by way of the sibling.
        if (PageRuns.Subtract(pages.Shared, sibling.pages.Shared).Count > 0)
        {
            return;
        }

        var alike = new List<AddressRange>();
        foreach (AddressRange common in PageRuns.Intersect(ranges, sibling.ranges))
        {
            for (ulong address = common.Start; address < common.End; address += Kernel.PageSize)
            {
                if (Page(address).SequenceEqual(sibling.Page(address)))
                {
                    PageRuns.Append(alike, new AddressRange(address, address + Kernel.PageSize));
                }
            }
        }

        if (alike.Count > 0)
        {
            pages.ShareMore(sibling.pages, alike);
        }
    }

    /// <summary>Gives what is left: the content of the file.</summary>
    public byte[] Left()
    {
        List<AddressRange> left = pages.Written();
        byte[] written = content;
        int size = (int)left.Sum(static range => (long)range.Length);
        if (size < content.Length)
        {
            written = GC.AllocateUninitializedArray<byte>(size);
            int at = 0;
            foreach (AddressRange range in left)
            {
                for (ulong address = range.Start; address < range.End; address += Kernel.PageSize, at += Kernel.PageSize)
                {
                    Page(address).CopyTo(written.AsSpan(at));
                }
            }
        }

        return written;
    }

    private ReadOnlySpan<byte> Page(ulong address)
    {
        int offset = 0;
        foreach (AddressRange range in ranges)
        {
            if (address < range.End)
            {
                return content.AsSpan(offset + (int)(address - range.Start), Kernel.PageSize);
            }

            offset += (int)range.Length;
        }

        throw new ArgumentOutOfRangeException(nameof(address));
    }
}
