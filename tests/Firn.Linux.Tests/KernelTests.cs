using Firn.Linux.Abi;
using Xunit;

namespace Firn.Linux.Tests;

/// <summary>The door to the kernel.</summary>
public class KernelTests
{
    [Fact]
    public void A_call_gives_the_value_of_the_kernel()
    {
        Assert.Equal(Environment.ProcessId, Kernel.Call(Sysno.getpid).Int32);
        Assert.Equal(Errno.None, Kernel.Call(Sysno.getpid).Errno);
    }

    [Fact]
    public void A_call_that_fails_gives_the_error_of_the_kernel()
    {
        SysResult result = Kernel.Call(Sysno.close, -1);
        Assert.True(result.IsError);
        Assert.Equal(Errno.EBADF, result.Errno);
        Assert.Equal(Errno.ENOSYS, Kernel.Call((Sysno)9999).Errno);
    }

    [Fact]
    public void Six_arguments_reach_the_kernel_in_order()
    {
        // mmap of a bad length fails; of good arguments it gives an address, which the sixth argument (an offset off the page) spoils.
        Assert.Equal(Errno.EINVAL, Kernel.Call(Sysno.mmap, 0, 4096, 3, 0x22, -1, 1).Errno);
        SysResult mapped = Kernel.Call(Sysno.mmap, 0, 4096, 3, 0x22, -1, 0);
        Assert.False(mapped.IsError);
        Assert.False(Kernel.Call(Sysno.munmap, mapped.Raw, 4096).IsError);
    }

    [Fact]
    public void An_exception_names_the_call_and_the_error()
    {
        LinuxException exception = Assert.Throws<LinuxException>(() => Sys.Open("/no/such/file", OpenFlags.O_RDONLY));
        Assert.Equal(Errno.ENOENT, exception.Errno);
        Assert.Contains("/no/such/file", exception.Message, StringComparison.Ordinal);
        Assert.Contains("ENOENT", exception.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1, true)]
    [InlineData(-4095, true)]
    [InlineData(-4096, false)]
    [InlineData(0, false)]
    public void Only_the_last_page_of_values_is_an_error(int raw, bool isError) => Assert.Equal(isError, new SysResult(raw).IsError);
}
