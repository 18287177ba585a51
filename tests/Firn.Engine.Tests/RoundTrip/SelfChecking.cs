using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>A target that checks itself all the time, as `checking` does, and counts in a file. Layout: `struct counters`.</summary>
internal sealed class SelfChecking
{
    private const int ReadyOffset = 8;
    private const int PartsOffset = 12;
    private const int CountOffset = 16;
    private const int BadOffset = 80;
    private const int WhatOffset = 84;

    /// <summary>Starts it, and waits until it is set up.</summary>
    public SelfChecking(PidNamespace space, string program = "checking", params string[] arguments)
    {
        Counters = Path.Combine(space.MakeDirectory("work"), "counters");
        Pid = space.Start([Programs.Target(program), .. arguments, Counters]);
        PidNamespace.Until(() => File.Exists(Counters) && Word(ReadyOffset) == 1, $"{program} is ready");
    }

    /// <summary>Its process id.</summary>
    public int Pid { get; }

    /// <summary>The same for a command line.</summary>
    public string PidText => Pid.ToString(CultureInfo.InvariantCulture);

    /// <summary>The file in which it counts.</summary>
    public string Counters { get; }

    /// <summary>Fails unless all of its parts go on counting and none has found anything wrong.</summary>
    public void MustGoOn()
    {
        byte[] before = File.ReadAllBytes(Counters);
        uint parts = BinaryPrimitives.ReadUInt32LittleEndian(before.AsSpan(PartsOffset));
        PidNamespace.Until(
            () =>
            {
                byte[] now = File.ReadAllBytes(Counters);
                if (BinaryPrimitives.ReadUInt32LittleEndian(now.AsSpan(BadOffset)) != 0)
                {
                    throw new InvalidOperationException(
                        $"the target has found something wrong: {Encoding.UTF8.GetString(now.AsSpan(WhatOffset, 240)).TrimEnd('\0')}");
                }

                for (int part = 0; part < parts; part++)
                {
                    int offset = CountOffset + (8 * part);
                    ulong then = BinaryPrimitives.ReadUInt64LittleEndian(before.AsSpan(offset));
                    if (BinaryPrimitives.ReadUInt64LittleEndian(now.AsSpan(offset)) <= then)
                    {
                        return false;
                    }
                }

                return true;
            },
            "the target goes on");
    }

    private uint Word(int offset)
    {
        byte[] bytes = File.ReadAllBytes(Counters);
        return bytes.Length < offset + 4 ? 0 : BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));
    }
}
