using System.Globalization;
using Firn.Engine.Tree;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;

namespace Firn.Engine.Kinds.Files;

/// <summary>Devices that no other kind knows: refused, unless the caller says that to open them anew is enough.</summary>
/// <remarks>
/// `--external dev[MAJOR/MINOR]:KEY`, in CRIU's grammar, where it stands for the device of a mount. What is saved is a path, as of a file;
/// a restore opens it by that, or what `--external dev[KEY]:PATH` names, or takes what it is handed for it. Virtual consoles and serial
/// lines have settings, screens and keyboards that belong to the machine.
/// </remarks>
internal sealed class DeviceFile : FileKind
{
    private const uint ConsoleMajor = 4;
    private const uint AlternateMajor = 5;
    private const uint FirstSerialMinor = 64;

    /// <inheritdoc/>
    public override FdTypes Type => FdTypes.Reg;

    // ---- dump

    /// <inheritdoc/>
    public override bool Recognizes(OpenFile file)
        => file is { IsDescriptor: true, IsPathOnly: false, FileType: InodeMode.S_IFCHR or InodeMode.S_IFBLK }
        && file.Link.StartsWith('/');

    /// <inheritdoc/>
    public override void Examine(DumpContext context, OpenFile file)
    {
        uint major = DeviceNumber.Major(file.Stat.st_rdev);
        uint minor = DeviceNumber.Minor(file.Stat.st_rdev);
        string id = IdOf(file);
        if (context.Options.External.Contains("dev", id))
        {
            RegularFile.ExamineName(context, file);
            FileOwner.Examine(context, file);
        }
        else if (file.FileType == InodeMode.S_IFCHR && major is ConsoleMajor or AlternateMajor)
        {
            bool isSerial = major == ConsoleMajor && minor >= FirstSerialMinor;
            context.Problems.Add(
                "machine-terminal",
                file.Owner.Pid,
                file.Resource,
                isSerial ? "it is a serial line of this machine" : "it is a console of this machine, with its screen and keyboard",
                $"start the program in tmux or another pseudo-terminal; or allow Firn to open it anew with --external dev[{id}]:KEY");
        }
        else
        {
            context.Problems.Add(
                "device",
                file.Owner.Pid,
                file.Resource,
                $"what device {id} holds for the program can't be read",
                $"let the program close it; or, if it is enough to open it anew, --external dev[{id}]:KEY");
        }
    }

    /// <inheritdoc/>
    public override void Dump(DumpContext context, OpenFile file, FileEntry entry)
    {
        entry.Reg = RegularFile.DumpPath(context, file, file.Id);
        if (context.Options.External.Find("dev", IdOf(file))?.Value is { } key)
        {
            entry.Reg.DeviceKey = key;
        }
    }

    private static string IdOf(OpenFile file) => string.Create(
        CultureInfo.InvariantCulture, $"{DeviceNumber.Major(file.Stat.st_rdev)}/{DeviceNumber.Minor(file.Stat.st_rdev)}");

    // ---- restore

    /// <inheritdoc/>
    /// <remarks>Its entries are of regular files, which their kind restores.</remarks>
    public override Fd? Create(RestoreContext context, FileEntry entry)
        => throw new InvalidOperationException($"file {entry.Id} is restored as a regular file");
}
