#!/usr/bin/python3
"""A server under a client that goes on asking over one connection, through dumps, kills and restores: no answer is lost or doubled.

servers.py FIRN IMAGES NAME [COMMAND...], NAME being node, asyncio, memcached or aspnet; COMMAND is how the application is started. It runs
in a network namespace of its own, which the caller has made.
"""
import http.client, os, socket, subprocess, sys, threading, time

firn, images, name = sys.argv[1:4]
os.environ["PATH"] += ":/usr/sbin:/sbin"
PORT, ROUNDS = 7000, 2
here = os.path.dirname(os.path.abspath(__file__))
work = os.path.join(images, "work")
os.mkdir(work)
count, failure, goes_on = 0, None, True


def write(path, text):
    with open(os.path.join(work, path), "w", encoding="utf-8") as file:
        file.write(text)


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{command}: {done}")


class Web:
    """Asks over one connection, and never opens another."""

    def __init__(self):
        self.connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
        self.connection.connect()
        self.connection.auto_open = 0
        self.last = 0

    def get(self, path):
        self.connection.request("GET", path)
        return self.connection.getresponse().read().decode()

    def ask(self, number):
        if name == "aspnet":
            answer = self.get("/")
            return answer == f"request {number}", answer
        answer = self.get(f"/{number}")
        parts = answer.split()
        later, self.last = len(parts) == 5 and int(parts[3]) >= self.last, int(parts[3]) if len(parts) == 5 else 0
        return later and parts[:3] == [str(number), f"/{number}", "content"], answer


class Memory:
    """memcached: a counter, and large values."""

    def __init__(self):
        self.connection = socket.create_connection(("127.0.0.1", PORT), timeout=120)
        self.file = self.connection.makefile("rwb")
        self.tell(b"set n 0 0 1\r\n0\r\n")

    def tell(self, said):
        self.file.write(said)
        self.file.flush()
        return self.file.readline()

    def ask(self, number):
        value = b"%d" % number * 2000
        stored = self.tell(b"set large 0 0 %d\r\n%s\r\n" % (len(value), value))
        self.tell(b"get large\r\n")
        found = self.file.read(len(value) + 7)
        answer = self.tell(b"incr n 1\r\n")
        return stored == b"STORED\r\n" and found == value + b"\r\nEND\r\n" and answer == b"%d\r\n" % number, answer


def client():
    global count, failure
    try:
        while goes_on:
            right, answer = asker.ask(count + 1)
            if not right:
                raise OSError(f"answer {count + 1} is {answer!r}")
            count += 1
    except (OSError, http.client.HTTPException) as error:
        failure = error


def until(what, reason):
    while not what():
        if failure:
            sys.exit(f"client: {failure!r}")
        time.sleep(0.02)


def until_more(by):
    goal = count + by
    until(lambda: count >= goal, "more answers")


def start():
    for _ in range(3000):
        try:
            return Memory() if name == "memcached" else Web()
        except OSError:
            time.sleep(0.02)
    sys.exit(f"{name} does not answer")


def changed():
    """Whether what watches a file, or waits for a signal, is told."""
    global goes_on
    goes_on = False
    thread.join()
    goes_on = True
    if failure:
        sys.exit(f"client: {failure!r}")
    if name == "memcached":
        return
    if name == "aspnet":
        write("appsettings.json", '{"Setting": "%d"}' % count)
        until(lambda: asker.get("/setting") == str(count), "the setting")
        return

    def changes():
        global count
        count += 1
        return int(asker.get(f"/{count}").split()[4])

    before = changes()
    if name == "node":
        write("another", str(count))
    else:
        os.kill(int(pid), 10)
    until(lambda: changes() > before, "a change")


def again():
    global thread
    thread = threading.Thread(target=client)
    thread.start()


run("ip", "link", "set", "lo", "up")
write("file", "content")
write("appsettings.json", '{"Setting": "first"}')
command = {
    "node": [*sys.argv[4:], os.path.join(here, "loop_server.js"), str(PORT), work],
    "asyncio": [*sys.argv[4:], os.path.join(here, "loop_server.py"), str(PORT), work],
    "memcached": [*sys.argv[4:], "-u", "root", "-p", str(PORT), "-l", "127.0.0.1", "-U", "0"],
    "aspnet": [*sys.argv[4:], "--urls", f"http://127.0.0.1:{PORT}", "--contentRoot", work],
}[name]
server = subprocess.Popen(
    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, cwd=work)
asker, pid = start(), str(server.pid)
resting = [start() for _ in range(3)]
again()
until_more(20)
changed()
again()
for number in range(2 * ROUNDS):
    where = os.path.join(images, str(number))
    os.mkdir(where)
    leave = ["-R"] if number % 2 == 0 else []
    run(firn, "dump", "-t", pid, "-D", where, "--tcp-established", "-v4", "-o", "dump.log", *leave)
    if not leave:
        try:
            os.waitpid(int(pid), 0)
        except ChildProcessError:
            while os.path.exists(f"/proc/{pid}"):
                time.sleep(0.01)
        run(firn, "restore", "-D", where, "-d", "--tcp-established", "-v4", "-o", "restore.log")
    until_more(20)
changed()
for connection in resting:
    # Open all the time, and silent: each is still one that is answered.
    if name == "memcached":
        right = connection.tell(b"set rest 0 0 1\r\n1\r\n") == b"STORED\r\n"
    else:
        right = connection.get("/setting" if name == "aspnet" else "/0") != ""
    if not right:
        sys.exit("a connection that rested gets no answer")
goes_on = False
if thread.is_alive():
    thread.join()
if failure:
    sys.exit(f"client: {failure!r}")
subprocess.run(["kill", "-9", pid], check=False)
print(count)
