using System.Runtime.InteropServices;
using System.Text;

namespace Firn.Linux;

/// <summary>Terminated texts behind a terminated vector of pointers, as execve(2) takes them.</summary>
internal sealed unsafe class TextVector : IDisposable
{
    public TextVector(IReadOnlyList<string> texts)
    {
        // SAFETY: room for one pointer more than there are texts; each text has its own block with room for the terminator.
        Pointer = (byte**)NativeMemory.AllocZeroed((nuint)(texts.Count + 1), (nuint)sizeof(byte*));
        for (int i = 0; i < texts.Count; i++)
        {
            int length = Encoding.UTF8.GetByteCount(texts[i]);
            Pointer[i] = (byte*)NativeMemory.AllocZeroed((nuint)length + 1);
            _ = Encoding.UTF8.GetBytes(texts[i], new Span<byte>(Pointer[i], length));
        }
    }

    public byte** Pointer { get; }

    public byte* First => Pointer[0];

    public void Dispose()
    {
        for (byte** text = Pointer; *text is not null; text++)
        {
            NativeMemory.Free(*text);
        }

        NativeMemory.Free(Pointer);
    }
}
