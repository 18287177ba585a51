namespace Firn.Images;

/// <summary>Where the types that decode and encode image files live.</summary>
internal static class Placeholder
{
}
