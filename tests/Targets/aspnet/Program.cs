// An application that answers HTTP: each request gets its number.
WebApplicationBuilder builder = WebApplication.CreateBuilder(args);
builder.Logging.ClearProviders();
WebApplication app = builder.Build();
int requests = 0;
app.MapGet("/", () => $"request {Interlocked.Increment(ref requests)}");
app.MapGet("/json", () => Results.Json(new { number = requests, collections = GC.CollectionCount(0) }));
app.MapGet("/setting", (IConfiguration settings) => settings["Setting"] ?? "none");
app.Run();
