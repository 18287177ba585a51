using Firn.Engine.Kinds.Events;
using Firn.Engine.Kinds.Sockets;
using Firn.Images;
using Firn.Linux;
using Firn.Linux.Abi;
using Xunit;

namespace Firn.Engine.Tests.Kinds;

public class DescriptorKindTests
{
    [Fact]
    public void An_expired_periodic_timer_of_an_image_that_CRIU_wrote_ticks_on()
    {
        // The kitchen set: ticks 1, value 0, interval 1 s.
        Itimerspec time = TimerFd.Remaining(new TimerfdEntry { Ticks = 1, Vsec = 0, Vnsec = 0, Isec = 1, Insec = 0 });
        Assert.Equal(1_000_000_000, time.it_value.Nanoseconds);
        Assert.Equal(1_000_000_000, time.it_interval.Nanoseconds);
    }

    [Fact]
    public void A_timer_that_was_never_armed_stays_so()
    {
        Itimerspec time = TimerFd.Remaining(new TimerfdEntry { Ticks = 0, Vsec = 0, Vnsec = 0, Isec = 0, Insec = 0 });
        Assert.Equal(0, time.it_value.Nanoseconds);
    }

    [Fact]
    public void A_file_handle_is_written_as_sixteen_words()
    {
        FhEntry entry = InotifyFile.HandleEntry(new FileHandle(1, [1, 2, 3, 4, 5, 6, 7, 8, 9]), "/tmp");
        Assert.Equal(16, entry.Handle.Count);
        Assert.Equal(0x0807060504030201ul, entry.Handle[0]);
        Assert.Equal(9ul, entry.Handle[1]);
        Assert.Equal(9u, entry.Bytes);
        Assert.Equal("/tmp", entry.Path);
    }

    [Theory]
    [InlineData("/work/relative", "relative", "/work")]
    [InlineData("/work/a/b", "a/b", "/work")]
    [InlineData("/work/a/b", "./a/b", "/work")]
    [InlineData("/work/x", "../work/x", "/work")]
    public void The_directory_of_a_relative_name_is_found_from_its_path(string path, string name, string directory)
        => Assert.Equal(directory, UnixSocket.DirectoryOf(path, name));

    [Fact]
    public void The_layers_of_an_overlay_are_read_from_its_options()
    {
        (string? upper, string[] lower) = HandlePaths.Layers("rw,relatime,lowerdir=/a:/b,upperdir=/u,workdir=/w");
        Assert.Equal("/u", upper);
        Assert.Equal(["/a", "/b"], lower);
    }

    [Fact]
    public void An_instruction_of_a_filter_survives_the_format()
    {
        SocketOptions.SockFilter instruction = SocketOptions.Decode(0x0015_0102_0000_0800);
        Assert.Equal((0x15, 1, 2, 0x800u), (instruction.code, instruction.jt, instruction.jf, instruction.k));
        Assert.Equal(0x0015_0102_0000_0800ul, SocketOptions.Encode(instruction));
    }

    [Fact]
    public void Groups_beyond_the_last_one_joined_are_left_out()
        => Assert.Equal([0u, 4u], NetlinkFile.Trim([0, 4, 0, 0]));

    [Fact]
    public void An_address_is_written_as_words_in_memory_order()
    {
        InetAddress address = InetAddress.Of([0x0100007f], 80, 0);
        Assert.Equal("127.0.0.1:80", address.ToString());
        Assert.Equal([0x0100007fu], address.Words());
    }

    [Fact]
    public void Names_are_spelled_as_people_write_them()
    {
        Assert.Equal("@hidden", UnixSocket.NameText("\0hidden"u8));
        Assert.Equal("/run/x", UnixSocket.NameText("/run/x\0"u8));
        Assert.Equal("unnamed", UnixSocket.NameText([]));
    }
}
