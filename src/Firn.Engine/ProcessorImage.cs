using System.Globalization;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using Firn.Images;

namespace Firn.Engine;

/// <summary>cpuinfo.img: what the processor of a dump can do, so that another machine can be asked before it restores.</summary>
/// <remarks>
/// The words are in the order that CRIU has fixed for its second version; those that a kernel makes up itself are left 0, and not asked
/// for. No part of a dump or restore looks at this file.
/// </remarks>
public static class ProcessorImage
{
    private const uint SecondVersion = 2;
    private const int ExtendedLeaf = unchecked((int)0x8000_0000);

    // Leaf, subleaf and register (0 eax to 3 edx) of each word; leaf 0 is a word of the kernel's, or of a maker that is no more.
    private static readonly (int Leaf, int Subleaf, int Register)[] Words =
    [
        (1, 0, 3), (ExtendedLeaf + 1, 0, 3), (0, 0, 0), (0, 0, 0), (1, 0, 2), (0, 0, 0), (ExtendedLeaf + 1, 0, 2), (0, 0, 0), (0, 0, 0),
        (7, 0, 1), (0xD, 1, 0), (7, 0, 2), (0xF, 1, 3), (ExtendedLeaf + 8, 0, 1), (6, 0, 0), (ExtendedLeaf + 0xA, 0, 3), (0xF, 0, 3),
        (ExtendedLeaf + 7, 0, 1), (7, 0, 3),
    ];

    // What a program can use: not the words about power, virtual machines and the observation of caches. The kernel's own bits of leaf 1
    // (OSXSAVE, and the id of the processor it ran on) differ between processors of one machine.
    private static readonly int[] UsedWords = [0, 1, 4, 6, 9, 10, 11, 18];

    /// <summary>Writes the file.</summary>
    /// <param name="directory">The images directory.</param>
    /// <exception cref="IOException">It can't be written.</exception>
    public static void Write(string directory)
    {
        (_, int first, int second, int third) = X86Base.CpuId(0, 0);
        string maker = Encoding.ASCII.GetString(MemoryMarshal.AsBytes([first, third, second]));
        int signature = X86Base.CpuId(1, 0).Eax;
        int family = (signature >> 8) & 0xF;
        int model = (signature >> 4) & 0xF;
        var entry = new CpuinfoX86Entry
        {
            VendorId = maker switch
            {
                "GenuineIntel" => CpuinfoX86Entry.Types.Vendor.Intel,
                "AuthenticAMD" => CpuinfoX86Entry.Types.Vendor.Amd,
                _ => CpuinfoX86Entry.Types.Vendor.Unknown,
            },
            CpuFamily = (uint)(family == 0xF ? family + ((signature >> 20) & 0xFF) : family),
            Model = (uint)(family is 0x6 or 0xF ? model | ((signature >> 12) & 0xF0) : model),
            Stepping = (uint)signature & 0xF,
            CapabilityVer = SecondVersion,
            ModelId = Name(),
        };
        entry.Capability.Add(Words.Select(Read));
        File.WriteAllBytes(
            Path.Combine(directory, ImageKind.Cpuinfo.FileName()),
            ImageFile.Encode(ImageKind.Cpuinfo, new CpuinfoEntry { X86Entry = { entry } }));
    }

    /// <summary>Says what the processor of the images could do that this one can't.</summary>
    /// <param name="directory">The images directory.</param>
    /// <returns>A few words each; nothing if all is there.</returns>
    /// <exception cref="CheckpointException">There is no such file.</exception>
    /// <exception cref="ImageFormatException">It is damaged.</exception>
    public static IReadOnlyList<string> Missing(string directory)
    {
        string name = ImageKind.Cpuinfo.FileName();
        string path = Path.Combine(directory, name);
        if (!File.Exists(path))
        {
            throw new CheckpointException($"{directory} holds no {name}; write it on the machine of the dump, with cpuinfo dump");
        }

        IReadOnlyList<ImageEntry> entries = ImageFile.Decode(ImageKind.Cpuinfo, File.ReadAllBytes(path), name);
        if (entries.Count == 0)
        {
            throw new ImageFormatException(name, 0, "entry-count", "holds no entry; write it again");
        }

        if (((CpuinfoEntry)entries[0].Message).X86Entry is not [{ } entry, ..])
        {
            return ["it is of another architecture"];
        }

        List<string> missing = [];
        foreach (int index in UsedWords.Where(index => index < entry.Capability.Count))
        {
            // OSXSAVE.
            uint kernels = index == 4 ? 1u << 27 : 0;
            uint bits = entry.Capability[index] & ~Read(Words[index]) & ~kernels;
            if (bits != 0)
            {
                missing.Add(string.Create(CultureInfo.InvariantCulture, $"bits 0x{bits:x} of word {index} of its capabilities"));
            }
        }

        return missing;
    }

    private static uint Read((int Leaf, int Subleaf, int Register) word)
    {
        if (word.Leaf == 0 || (uint)word.Leaf > (uint)X86Base.CpuId(word.Leaf & ExtendedLeaf, 0).Eax)
        {
            return 0;
        }

        (int eax, int ebx, int ecx, int edx) = X86Base.CpuId(word.Leaf, word.Subleaf);
        return (uint)(word.Register switch { 0 => eax, 1 => ebx, 2 => ecx, _ => edx });
    }

    private static string Name()
    {
        if ((uint)X86Base.CpuId(ExtendedLeaf, 0).Eax < 0x8000_0004)
        {
            return string.Empty;
        }

        List<int> words = [];
        for (int leaf = ExtendedLeaf + 2; leaf <= ExtendedLeaf + 4; leaf++)
        {
            (int eax, int ebx, int ecx, int edx) = X86Base.CpuId(leaf, 0);
            words.AddRange([eax, ebx, ecx, edx]);
        }

        return Encoding.ASCII.GetString(MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(words))).TrimEnd('\0').Trim();
    }
}
