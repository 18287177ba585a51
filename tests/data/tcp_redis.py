#!/usr/bin/python3
"""redis under a client outside of the tree that goes on pipelining over one connection, through dumps, kills and restores.

tcp_redis.py FIRN IMAGES WHERE, WHERE being loopback or loopback6 (one network namespace for all), or veth (redis in one of its own).
"""
import os, re, socket, subprocess, sys, threading, time

firn, images, where = sys.argv[1:]
os.environ["PATH"] += ":/usr/sbin:/sbin"
ROUNDS, DEPTH, MOST = 3, 500, 100
count, failure, goes_on = 0, None, True


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{command}: {done}")
    return done.stdout


def client(connection):
    """Each answer must be one more than the last."""
    global count, failure
    rest, sent = b"", 0
    try:
        while goes_on or count < sent:
            if goes_on and sent - count < DEPTH:
                connection.sendall(b"INCR n\r\n" * MOST)
                sent += MOST
            got = connection.recv(1 << 16)
            if not got:
                raise OSError("the connection has ended")
            *lines, rest = (rest + got).split(b"\r\n")
            for line in lines:
                count += 1
                if line != b":%d" % count:
                    raise OSError(f"answer {count} is {line!r}")
    except OSError as error:
        failure = error


def until_more(by):
    goal = count + by
    while count < goal:
        if failure:
            sys.exit(f"client: {failure}")
        time.sleep(0.01)


def ended(pid):
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.01)


def connect(address):
    for _ in range(1000):
        try:
            return socket.create_connection((address, 7000))
        except OSError:
            time.sleep(0.02)
    sys.exit("redis does not answer")


run("ip", "link", "set", "lo", "up")
inside, dump_options, restore_options = [], [], []
if where == "veth":
    holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"], start_new_session=True)
    while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    network = f"/proc/{holder.pid}/ns/net"
    inside = ["nsenter", f"--net={network}"]
    run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", str(holder.pid))
    run("ip", "addr", "add", "10.9.0.1/24", "dev", "va")
    run("ip", "link", "set", "va", "up")
    run(*inside, "ip", "link", "set", "lo", "up")
    run(*inside, "ip", "addr", "add", "10.9.0.2/24", "dev", "vb")
    run(*inside, "ip", "link", "set", "vb", "up")
    inode = re.search(r"\[(\d+)\]", os.readlink(network))[1]
    dump_options, restore_options = ["--external", f"net[{inode}]:outside"], ["--external", f"net[outside]:{network}"]
bind, address = {
    "veth": ("10.9.0.2", "10.9.0.2"), "loopback6": ("::1", "::1"), "loopback": ("127.0.0.1", "127.0.0.1")
}[where]
redis = subprocess.Popen(
    [*inside, "redis-server", "--port", "7000", "--bind", bind, "--save", "", "--appendonly", "no", "--protected-mode", "no"],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
connection = connect(address)
pid, thread = str(redis.pid), threading.Thread(target=client, args=[connection])
thread.start()
until_more(1000)
tcp = ["--tcp-established", "-v4"]
for number in range(2 * ROUNDS):
    where_to = os.path.join(images, str(number))
    os.mkdir(where_to)
    if number % 2 == 0:
        run(firn, "dump", "-t", pid, "-D", where_to, "-R", *tcp, "-o", "dump.log", *dump_options)
        until_more(5000)
        continue
    run(firn, "dump", "-t", pid, "-D", where_to, *tcp, "-o", "dump.log", *dump_options)
    ended(int(pid))
    before = count
    time.sleep(0.3)
    if not count < before + DEPTH + MOST:
        sys.exit("someone answers while redis is gone")
    run(firn, "restore", "-D", where_to, "-d", *tcp, "-o", "restore.log", *restore_options)
    until_more(5000)
goes_on = False
thread.join()
if failure:
    sys.exit(f"client: {failure}")
again = connect(address)
again.sendall(b"GET n\r\n")
if b"%d" % count not in again.recv(100):
    sys.exit("redis has counted otherwise")
tables = run(*inside, "nft", "list", "ruleset")
if tables:
    sys.exit(f"left: {tables}")
os.kill(int(pid), 9)
ended(int(pid))
if where == "veth":
    holder.kill()
print(count)
