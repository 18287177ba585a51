#!/usr/bin/python3
"""All that can be outside of a tree, as an engine asks for it: `external`, `unix_sk_ino` and `inherit_fd` of requests."""
import os, pty, signal, socket, subprocess, sys, time

firn, images = sys.argv[1:]
place = os.path.dirname(images)
DUMP, RESTORE = 1, 2
FILE, PIPE, SOCKET, TERMINAL, DATAGRAMS, DEVICE = range(10, 16)
JOB = r'''
import os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
open("ready", "w").close()
while True:
    signal.sigwait([signal.SIGUSR1])
    text = os.pread(10, 64, 0)
    for fd in (11, 12, 13, 14):
        os.write(fd, text)
    with open("answer.new", "w") as answer:
        answer.write(os.readlink("/proc/self/fd/15"))
    os.rename("answer.new", "answer")
'''


def number(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def field(id, value):
    if isinstance(value, int):
        return number(id << 3) + number(value)
    value = value.encode() if isinstance(value, str) else value
    return number(id << 3 | 2) + number(len(value)) + value


def fields(message):
    """Numbers and values of a message; varints and strings are all that there is."""
    at = 0

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte, at = message[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    found = {}
    while at < len(message):
        key = take()
        value = take()
        if key & 7 == 2:
            value, at = message[at:at + value], at + value
        found[key >> 3] = value
    return found


def ask(kind, options, handed=()):
    """One request to a `firn swrk` of its own; the reply's fields."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    worker = subprocess.Popen([firn, "swrk", str(its.fileno())], pass_fds=[its.fileno(), directory, *handed], stdin=subprocess.DEVNULL)
    its.close()
    ours.sendall(field(1, kind) + field(2, field(1, directory) + options))
    reply = fields(ours.recv(1 << 16))
    ours.close()
    worker.wait()
    return reply


def must(kind, options, handed=()):
    reply = ask(kind, options, handed)
    if not reply[2]:
        sys.exit(f"{kind}: {reply}")
    return reply


def until(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    sys.exit("it takes too long")


def device_that_opens():
    for name in ("/dev/loop-control", "/dev/fuse", "/dev/hpet", "/dev/rtc0", "/dev/cpu_dma_latency"):
        try:
            return os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
    return os.open("/dev/null", os.O_RDONLY)


def ends():
    """What the job is to have, and what is kept here of it."""
    pipe, stream, terminal = os.pipe(), socket.socketpair(), pty.openpty()
    return [pipe[1], stream[1].detach(), terminal[1]], [pipe[0], stream[0].detach(), terminal[0]]


def expect(kept, text):
    os.kill(job, signal.SIGUSR1)
    until(lambda: os.path.exists("answer"))
    with open("answer") as answer:
        name = answer.read()
    os.remove("answer")
    heard = [os.read(fd, 64) for fd in kept] + [log.recv(64)]
    if heard != [text] * 4:
        sys.exit(f"{text!r} was to be heard, and not {heard}")
    return name


os.chdir(place)
for name in ("first", "second"):
    with open(name, "w") as file:
        file.write(name)
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind(os.path.join(place, "log"))
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.connect(os.path.join(place, "log"))
directory = os.open(images, os.O_RDONLY)
theirs, kept = ends()
device = device_that_opens()
given = dict(zip((FILE, PIPE, SOCKET, TERMINAL, DATAGRAMS, DEVICE), (os.open("first", os.O_RDONLY), *theirs, sender.fileno(), device)))
job = os.fork()
if job == 0:
    os.setsid()
    high = {to: os.dup(fd) for to, fd in given.items()}
    for to, fd in high.items():
        os.dup2(fd, to + 100)
    for to in high:
        os.dup2(to + 100, to)
    os.closerange(16, 256)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(10):
        if fd != null:
            os.dup2(null, fd)
    os.closerange(3, 10)
    os.execv(sys.executable, [sys.executable, "-c", JOB])
until(lambda: os.path.exists("ready"))
keys = {fd: os.readlink(f"/proc/{job}/fd/{fd}") for fd in given}
status = {fd: os.stat(f"/proc/{job}/fd/{fd}") for fd in given}
with open(f"/proc/{job}/fdinfo/{FILE}") as info:
    mount = next(int(line.split()[1]) for line in info if line.startswith("mnt_id"))
file_key = f"file[{mount:x}:{status[FILE].st_ino:x}]"
tty_key = f"tty[{status[TERMINAL].st_rdev:x}:{status[TERMINAL].st_dev:x}]"
device_id = f"{os.major(status[DEVICE].st_rdev)}/{os.minor(status[DEVICE].st_rdev)}"
expect(kept, b"first")
# Each refusal names the first that stands in the way, until all is allowed.
device = ("[device]", field(37, f"dev[{device_id}]:control"))
allowed = [
    ("[pipe-outside]", field(37, keys[PIPE])),
    ("[unix-external]", field(37, f"unix[{os.fstat(kept[1]).st_ino}]")),
    ("[shell-job]", field(37, tty_key)),
    ("--ext-unix-sk", field(33, field(1, status[DATAGRAMS].st_ino))),
    *([device] if keys[DEVICE] != "/dev/null" else []),
]
options = field(2, job) + field(37, file_key)
for part, allowance in allowed:
    refusal = ask(DUMP, options)[9].decode()
    if part not in refusal:
        sys.exit(f"{part} is missing: {refusal}")
    options += allowance
must(DUMP, options)
os.waitpid(job, 0)
os.mknod("node", 0o600 | 0o020000, status[DEVICE].st_rdev)
for fd in (*theirs, *kept):
    os.close(fd)
theirs, kept = ends()
handed = dict(zip((file_key, keys[PIPE], keys[SOCKET], tty_key), (os.open("second", os.O_RDONLY), *theirs)))
inherit = b"".join(field(27, field(1, key) + field(2, fd)) for key, fd in handed.items())
refusal = ask(RESTORE, field(4, 1))[9].decode()
if "--inherit-fd fd[N]:" not in refusal:
    sys.exit(f"nothing was handed in: {refusal}")
must(RESTORE, field(4, 1) + inherit + field(37, f"dev[control]:{place}/node"), handed.values())
name = expect(kept, b"second")
if name != (f"{place}/node" if keys[DEVICE] != "/dev/null" else "/dev/null"):
    sys.exit(f"the device is {name}")
os.kill(job, signal.SIGKILL)
