using Firn.Engine.Restoring;
using Xunit;

namespace Firn.Engine.Tests;

public sealed class DescriptorNumbersTests
{
    [Fact]
    public void The_region_begins_above_every_number_that_a_task_uses()
        => Assert.Equal(256, DescriptorNumbers.FirstOfRegion([0, 1, 255, 7], needed: 10, limit: 1024));

    [Fact]
    public void The_region_leaves_the_standard_streams_alone_where_no_task_has_any_descriptor()
        => Assert.Equal(3, DescriptorNumbers.FirstOfRegion([], needed: 10, limit: 1024));

    [Fact]
    public void A_region_that_does_not_fit_below_the_limit_is_refused()
    {
        CheckpointException refusal = Assert.Throws<CheckpointException>(
            () => DescriptorNumbers.FirstOfRegion([1020], needed: 10, limit: 1024));
        Assert.Contains("1020", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("1024", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new int[0], "0-4294967295")]
    [InlineData(new[] { 0, 1, 2 }, "3-4294967295")]
    [InlineData(new[] { 255, 0, 10 }, "1-9 11-254 256-4294967295")]
    public void What_is_closed_are_all_numbers_that_the_table_does_not_have(int[] table, string expected)
        => Assert.Equal(expected, string.Join(' ', DescriptorNumbers.Gaps(table).Select(gap => $"{gap.First}-{gap.Last}")));
}
