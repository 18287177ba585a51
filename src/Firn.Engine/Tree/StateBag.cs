namespace Firn.Engine.Tree;

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

    /// <summary>Keeps a state that was made elsewhere.</summary>
    public void Put<T>(T state)
        where T : class => states.Add(typeof(T), state);

    /// <summary>A state that was <see cref="Put{T}"/>.</summary>
    public T Take<T>()
        where T : class => (T)states[typeof(T)];

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (IDisposable state in states.Values.OfType<IDisposable>())
        {
            state.Dispose();
        }
    }
}
