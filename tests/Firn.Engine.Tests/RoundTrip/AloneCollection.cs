using Xunit;

namespace Firn.Engine.Tests.RoundTrip;

/// <summary>Tests that run while no other does: they change what others see, as the host's /dev/shm.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class AloneCollection
{
    public const string Name = "alone";
}
