"""An HTTP server of asyncio: each request goes through a subprocess, a thread, a unix socket, a timer. Arguments: port and directory."""
import asyncio, os, signal, sys

port, directory = int(sys.argv[1]), sys.argv[2]
number = ticks = changes = 0


async def tick():
    global ticks
    while True:
        await asyncio.sleep(0.01)
        ticks += 1


def read():
    with open(os.path.join(directory, "file"), encoding="utf-8") as file:
        return file.read()


async def main():
    child = await asyncio.create_subprocess_exec("cat", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    path = os.path.join(directory, "unix")

    async def upper(reader, writer):
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async def serve(reader, writer):
        global number
        inner, outer = await asyncio.open_unix_connection(path)
        while request := await reader.readline():
            while (await reader.readline()).strip():
                pass
            child.stdin.write(request.split()[1] + b"\n")
            echo = (await child.stdout.readline()).strip().decode()
            outer.write(b"upper\n")
            assert await inner.readline() == b"UPPER\n"
            # A short-lived one, whose end is told by a pidfd or a signal.
            short = await asyncio.create_subprocess_exec("true")
            assert await short.wait() == 0
            file = await asyncio.get_running_loop().run_in_executor(None, read)
            number += 1
            body = f"{number} {echo} {file} {ticks} {changes}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()
        outer.close()

    def changed():
        global changes
        changes += 1

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, changed)
    asyncio.get_running_loop().create_task(tick())
    await asyncio.start_unix_server(upper, path)
    await (await asyncio.start_server(serve, "127.0.0.1", port)).serve_forever()


asyncio.run(main())
