#!/usr/bin/python3
"""TCP connections between two network namespaces of a tree whose root is in neither, over a pair of veth, through dumps and restores.

tcp_across.py FIRN IMAGES, in a network namespace of its own, which the caller has made.
"""
import os, subprocess, sys, time

firn, images = sys.argv[1:3]
os.environ["PATH"] += ":/usr/sbin:/sbin"
TREE = """
import ctypes, os, socket, sys, time
work = sys.argv[1]
def child(name):
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).unshare(0x40000000)
    open(f"{work}/{name}.is", "w").write(str(os.getpid()))
    while not os.path.exists(f"{work}/net"):
        time.sleep(0.02)
    if name == "b":
        listener = socket.create_server(("10.77.0.2", 7000))
        open(f"{work}/listens", "w")
        talking, resting = [listener.accept()[0] for _ in range(2)]
    else:
        while not os.path.exists(f"{work}/listens"):
            time.sleep(0.02)
        talking, resting = [socket.create_connection(("10.77.0.2", 7000)) for _ in range(2)]
    stream, number, said = talking.makefile("rwb"), 0, False
    resting.setblocking(False)
    while True:
        stream.write(b"%d\\n" % number * 10)
        stream.flush()
        if [stream.readline() for _ in range(10)] != [b"%d\\n" % number] * 10:
            raise SystemExit("wrong")
        number += 1
        if number % 10 == 0:
            open(f"{work}/{name}.new", "w").write(str(number))
            os.rename(f"{work}/{name}.new", f"{work}/{name}")
            if os.path.exists(f"{work}/rest") and not said:
                said = resting.send(name.encode())
            try:
                heard = resting.recv(9).decode()
                open(f"{work}/{name}.heard", "w").write(heard)
            except BlockingIOError:
                pass
children = [child("a"), child("b")]
time.sleep(1000)
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{command}: {done}")


def read(name):
    try:
        with open(f"{work}/{name}", encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def until(what, reason):
    for _ in range(3000):
        if what():
            return
        time.sleep(0.02)
    sys.exit(f"not in time: {reason}: {read('log')}")


def until_more():
    goal = [int(read(name) or 0) + 100 for name in "ab"]
    until(lambda: all(int(read(name) or 0) > wanted for name, wanted in zip("ab", goal)), "they go on")


work = os.path.join(images, "work")
os.mkdir(work)
run("ip", "link", "set", "lo", "up")
with open(f"{work}/log", "w", encoding="utf-8") as log:
    tree = subprocess.Popen([sys.executable, "-c", TREE, work], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                            cwd="/")
until(lambda: read("a.is") and read("b.is"), "the namespaces")
run("ip", "link", "add", "va", "netns", read("a.is"), "type", "veth", "peer", "name", "vb", "netns", read("b.is"))
for number, name in (1, "a"), (2, "b"):
    inside = ["nsenter", f"--net=/proc/{read(name + '.is')}/ns/net", "ip"]
    run(*inside, "addr", "add", f"10.77.0.{number}/24", "dev", f"v{name}")
    run(*inside, "link", "set", f"v{name}", "up")
    run(*inside, "link", "set", "lo", "up")
open(f"{work}/net", "w", encoding="utf-8").close()
until_more()
for number in range(4):
    where = os.path.join(images, str(number))
    os.mkdir(where)
    options = ["-D", where, "--tcp-established", "-v4"]
    if number % 2 == 0:
        run(firn, "dump", "-t", str(tree.pid), "-R", "-o", "dump.log", *options)
    else:
        run(firn, "dump", "-t", str(tree.pid), "-o", "dump.log", *options)
        try:
            os.waitpid(tree.pid, 0)
        except ChildProcessError:
            while os.path.exists(f"/proc/{tree.pid}"):
                time.sleep(0.01)
        time.sleep(0.2)
        run(firn, "restore", "-d", "-o", "restore.log", *options)
    until_more()
open(f"{work}/rest", "w", encoding="utf-8").close()
until(lambda: read("a.heard") == "b" and read("b.heard") == "a", "the connection that rested")
os.killpg(tree.pid, 9)
