using Google.Protobuf;

namespace Firn.Images;

/// <summary>Which bytes stand beside the messages of an image.</summary>
public enum PayloadRule
{
    /// <summary>None.</summary>
    None,

    /// <summary>As many bytes as <see cref="PipeDataEntry"/> says.</summary>
    Pipe,

    /// <summary>As many bytes as <see cref="SkPacketEntry"/> says.</summary>
    Packet,

    /// <summary>The receive queue and then the send queue of <see cref="TcpStreamEntry"/>.</summary>
    TcpStream,

    /// <summary>After <see cref="GhostFileEntry"/> all up to the end, or else each <see cref="GhostChunkEntry"/> with its own.</summary>
    Ghost,

    /// <summary>As many bytes as <see cref="IpcShmEntry"/> says, padded to 4; none if they are in a page map.</summary>
    IpcShm,

    /// <summary>After <see cref="IpcMsgEntry"/> as many <see cref="Images.IpcMsg"/> as it says, each with its bytes, padded to 8.</summary>
    IpcMsg,

    /// <summary>A 16-bit number for each semaphore of <see cref="IpcSemEntry"/>, padded to 8 bytes.</summary>
    IpcSem,

    /// <summary>All keys and then all values of <see cref="BpfmapDataEntry"/>.</summary>
    BpfMap,

    /// <summary>The whole file is another tool's: no magic, no messages.</summary>
    Raw,
}

/// <summary>The lengths that <see cref="PayloadRule"/> speaks of.</summary>
internal static class Payloads
{
    /// <summary>The length of the payload beside a message, in bytes; -1 if it goes up to the end of the file.</summary>
    internal static long Length(IMessage message) => message switch
    {
        PipeDataEntry pipe => pipe.Bytes,
        SkPacketEntry packet => packet.Length,
        TcpStreamEntry stream => (long)stream.InqLen + stream.OutqLen,
        GhostFileEntry { Chunks: true } => 0,
        GhostFileEntry => -1,
        GhostChunkEntry chunk => Saturate(chunk.Len),
        IpcShmEntry { InPagemaps: true } => 0,
        IpcShmEntry segment => Saturate(segment.Size),
        IpcMsg text => text.Msize,
        IpcSemEntry set => 2L * set.Nsems,
        BpfmapDataEntry map => (long)map.KeysBytes + map.ValuesBytes,
        _ => 0,
    };

    /// <summary>How many zero bytes follow a payload of this length.</summary>
    internal static int Padding(IMessage message, long length)
    {
        int alignment = message switch
        {
            IpcShmEntry => 4,
            IpcMsg or IpcSemEntry => 8,
            _ => 1,
        };
        return (int)(-length & (alignment - 1));
    }

    // A length above this is longer than any file, and stays so.
    private static long Saturate(ulong length) => (long)Math.Min(length, long.MaxValue / 2);
}
