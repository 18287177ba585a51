using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Text;
using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>What a system call answered: a value, or an error number.</summary>
/// <param name="Raw">The register as the kernel left it: -4095 to -1 is -errno.</param>
public readonly record struct SysResult(nint Raw)
{
    /// <summary>Whether the call failed.</summary>
    public bool IsError => Raw is < 0 and > -4096;

    /// <summary>The error number, or <see cref="Errno.None"/>.</summary>
    public Errno Errno => IsError ? (Errno)(-Raw) : Errno.None;

    /// <summary>The value as an int: a descriptor, a process id, a count.</summary>
    public int Int32 => (int)Raw;

    /// <summary>The value as a long.</summary>
    public long Int64 => Raw;

    /// <summary>Gives the result, or throws what failed.</summary>
    /// <param name="call">The call with its arguments, as <c>openat(/proc/1/maps, O_RDONLY)</c>: formatted on failure only.</param>
    /// <exception cref="LinuxException">The call failed.</exception>
    public SysResult OrThrow([InterpolatedStringHandlerArgument("")] ref FailureText call)
    {
        if (IsError)
        {
            Throw(call.ToText(), Errno);
        }

        return this;
    }

    /// <inheritdoc cref="OrThrow(ref FailureText)"/>
    public SysResult OrThrow(string call)
    {
        if (IsError)
        {
            Throw(call, Errno);
        }

        return this;
    }

    [DoesNotReturn]
    private static void Throw(string call, Errno errno) => throw new LinuxException(call, errno);

    /// <summary>Formats the text of a failed call, and does nothing at all for one that succeeded.</summary>
    [InterpolatedStringHandler]
    public readonly ref struct FailureText
    {
        private readonly StringBuilder? text;

        /// <summary>Begins a text; the compiler calls this.</summary>
        public FailureText(int literalLength, int formattedCount, SysResult result, out bool isNeeded)
        {
            isNeeded = result.IsError;
            text = isNeeded ? new StringBuilder(literalLength + (formattedCount * 12)) : null;
        }

        /// <summary>Adds a literal part; the compiler calls this.</summary>
        public void AppendLiteral(string value) => text!.Append(value);

        /// <summary>Adds a value; the compiler calls this.</summary>
        public void AppendFormatted<T>(T value) => text!.Append(value);

        /// <summary>Adds a formatted value; the compiler calls this.</summary>
        public void AppendFormatted<T>(T value, string format)
            where T : IFormattable => text!.Append(value.ToString(format, null));

        internal string ToText() => text?.ToString() ?? string.Empty;
    }
}
