namespace Firn.Linux;

/// <summary>Device numbers in the form of stat(2), and in that of the kernel itself.</summary>
/// <remarks>include/linux/kdev_t.h: new_decode_dev(), MKDEV().</remarks>
public static class DeviceNumber
{
    /// <summary>From st_dev to the kernel's own form: the major number shifted left by 20, and the minor one.</summary>
    public static uint Kernel(ulong device) => (Major(device) << 20) | Minor(device);

    /// <summary>The major number of st_dev or st_rdev.</summary>
    public static uint Major(ulong device) => (uint)((device >> 8) & 0xfff);

    /// <summary>The minor number of st_dev or st_rdev.</summary>
    public static uint Minor(ulong device) => (uint)((device & 0xff) | ((device >> 12) & 0xfff00));

    /// <summary>The form of stat(2), from both numbers.</summary>
    public static ulong Make(uint major, uint minor) => (minor & 0xff) | ((ulong)major << 8) | ((ulong)(minor & 0xfff00) << 12);
}
