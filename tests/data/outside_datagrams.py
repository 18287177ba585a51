#!/usr/bin/python3
"""A program that writes datagrams to a named socket outside of its tree, as to a log: refused, allowed by --ext-unix-sk, joined by name."""
import os, socket, subprocess, sys

firn, images = sys.argv[1:]
SENDER = """
import socket, sys
out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
out.connect(sys.argv[1])
for n in range(1, 100):
    if not sys.stdin.readline():
        break
    out.send(b"line %d" % n)
"""


def run(*arguments, status=0, **more):
    done = subprocess.run([firn, *arguments], capture_output=True, text=True, check=False, timeout=60, **more)
    if done.returncode != status:
        sys.exit(f"{arguments}: {done}")
    return done.stderr


name, fifo = os.path.join(images, "log"), os.path.join(images, "fifo")
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(name)
log.settimeout(60)
os.mkfifo(fifo)
# Both ends open: neither waits for the other, and none is the last.
words = os.open(fifo, os.O_RDWR)
sender = subprocess.Popen(
    ["/usr/bin/python3", "-c", SENDER, name], stdin=open(fifo, "rb", buffering=0), stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL, start_new_session=True)


def say(number):
    os.write(words, b"go\n")
    heard = log.recv(100)
    if heard != b"line %d" % number:
        sys.exit(f"{number}: {heard!r}")


say(1)
where = os.path.join(images, "set")
os.mkdir(where)
refusal = run("dump", "-t", str(sender.pid), "-D", where, status=1)
if "[unix-external]" not in refusal or "--ext-unix-sk" not in refusal:
    sys.exit(refusal)
say(2)
run("dump", "-t", str(sender.pid), "-D", where, "--ext-unix-sk", "-R")
say(3)
for each in os.listdir(where):
    os.unlink(os.path.join(where, each))
run("dump", "-t", str(sender.pid), "-D", where, "--ext-unix-sk")
sender.wait()
run("restore", "-D", where, "-d", "--ext-unix-sk")
say(4)
say(5)
os.kill(sender.pid, 9)
