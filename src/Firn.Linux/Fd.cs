using Firn.Linux.Abi;

namespace Firn.Linux;

/// <summary>A descriptor that Firn owns, closed when disposed. No finalizer: who opens, closes.</summary>
public sealed class Fd : IDisposable
{
    private int number;

    /// <summary>Takes over a descriptor.</summary>
    /// <param name="number">The descriptor.</param>
    public Fd(int number) => this.number = number;

    /// <summary>The descriptor's number.</summary>
    /// <exception cref="ObjectDisposedException">It is closed already.</exception>
    public int Number
    {
        get
        {
            ObjectDisposedException.ThrowIf(number < 0, this);
            return number;
        }
    }

    /// <summary>Whether it is still open.</summary>
    public bool IsOpen => number >= 0;

    /// <summary>Gives up ownership and returns the number, which stays open.</summary>
    public int Release()
    {
        int released = Number;
        number = -1;
        return released;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        int closing = Interlocked.Exchange(ref number, -1);
        if (closing >= 0)
        {
            // close(2): the descriptor is gone whatever it answers, and nothing written here is lost by that.
            _ = Kernel.Call(Sysno.close, closing);
        }
    }

    /// <inheritdoc/>
    public override string ToString() => number < 0 ? "closed descriptor" : $"fd {number}";
}
