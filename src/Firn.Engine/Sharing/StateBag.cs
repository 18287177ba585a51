namespace Firn.Engine.Sharing;

/// <summary>What kinds have to remember during one dump or one restore: a kind is a single object, and keeps nothing itself.</summary>
internal sealed class StateBag : IDisposable
{
    private readonly Dictionary<Type, object> states = [];

    /// <summary>The state of a type, made when first asked for.</summary>
    public T Get<T>()
        where T : class, new()
    {
        if (!states.TryGetValue(typeof(T), out object? state))
        {
            states.Add(typeof(T), state = new T());
        }

        return (T)state;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable state in states.Values.OfType<IDisposable>())
        {
            state.Dispose();
        }
    }
}
