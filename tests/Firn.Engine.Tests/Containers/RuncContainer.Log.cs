namespace Firn.Engine.Tests.Containers;

internal sealed partial class RuncContainer
{
    /// <summary>What it counts into /tmp/log.</summary>
    public CountedLog Log
    {
        get
        {
            string file = Path.Combine(RootFileSystem, "tmp/log");
            return new CountedLog(() => File.Exists(file) ? File.ReadAllText(file) : string.Empty);
        }
    }
}
