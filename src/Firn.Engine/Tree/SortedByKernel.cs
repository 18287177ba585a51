using Firn.Linux;

namespace Firn.Engine.Tree;

/// <summary>A set of kernel objects in the order that kcmp(2) gives them, so that finding one takes few calls.</summary>
/// <remarks>kcmp orders by the objects' addresses, obfuscated but fixed until the next boot: 0 equal, 1 less, 2 greater.</remarks>
/// <param name="compare">kcmp of the object sought and one of the set.</param>
internal sealed class SortedByKernel<T>(Func<T, T, SysResult> compare)
    where T : class
{
    private readonly List<T> items = [];

    /// <summary>Gives the member that is the same kernel object, or adds this one and gives null.</summary>
    public T? FindOrAdd(T sought)
    {
        int low = 0;
        int high = items.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            switch (compare(sought, items[middle]).OrThrow("kcmp").Int32)
            {
                case 0:
                    return items[middle];
                case 1:
                    high = middle;
                    break;
                default:
                    low = middle + 1;
                    break;
            }
        }

        items.Insert(low, sought);
        return null;
    }
}
