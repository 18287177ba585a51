// A console application with timers, tasks and garbage collections. Each fifth of a second it writes a line: how often each of them has
// happened, and whether all it holds is still what it was.
using System.Collections.Concurrent;

using var output = new StreamWriter(args[0], append: true) { AutoFlush = true };
int timers = 0;
int tasks = 0;
using var timer = new Timer(_ => Interlocked.Increment(ref timers), null, 20, 20);
var channel = new BlockingCollection<int>();
Task producer = Task.Run(async () =>
{
    for (int number = 0; ; number++)
    {
        channel.Add(number);
        await Task.Delay(10);
    }
});
bool inOrder = true;
Task consumer = Task.Run(() =>
{
    int expected = 0;
    foreach (int number in channel.GetConsumingEnumerable())
    {
        inOrder &= number == expected++;
        Interlocked.Increment(ref tasks);
    }
});
var kept = new Dictionary<int, byte[]>();
var weak = new List<WeakReference>();
for (int line = 1; ; line++)
{
    // Much garbage, and something of it kept, in all generations and in the large object heap.
    for (int i = 0; i < 2000; i++)
    {
        byte[] bytes = new byte[100 + (i % 50 == 0 ? 100_000 : 0)];
        bytes[^1] = (byte)i;
        if (i % 20 == 0)
        {
            kept[i] = bytes;
        }

        if (i == 7)
        {
            weak.Add(new WeakReference(bytes));
        }
    }

    if (line % 5 == 0)
    {
        GC.Collect();
        weak.RemoveAll(reference => !reference.IsAlive);
    }

    bool whole = inOrder && kept.All(pair => pair.Value[^1] == (byte)pair.Key) && !producer.IsCompleted && !consumer.IsCompleted;
    output.WriteLine($"{line} {timers} {tasks} {GC.CollectionCount(0)} {(whole ? "whole" : "broken")}");
    Thread.Sleep(200);
}
