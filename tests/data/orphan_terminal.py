#!/usr/bin/python3
"""A program on a terminal whose master is held outside: dumped and restored by RPC with orphan_pts_master, which hands over a new master."""
import array, os, pty, socket, subprocess, sys, tty

firn, images = sys.argv[1:]
JOB = 'n=0; while read -r line; do n=$((n+1)); echo "answer $n to $line"; done'
NAMES = []


def number(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def ask(master, said, answer):
    os.write(master, said)
    heard = b""
    while len(heard) < len(answer):
        heard += os.read(master, 100)
    if heard != answer:
        sys.exit(f"{said!r} was answered with {heard!r}")


def request(kind, *fields):
    """One conversation with swrk; gives the reply and a descriptor that came on the way."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    server = subprocess.Popen([firn, "swrk", str(its.fileno())], pass_fds=[its.fileno()])
    its.close()
    directory = os.open(images, os.O_RDONLY)
    options = b"".join([b"\x08", number(directory), b"\x60\x01", b"\x90\x03\x01", *fields])
    ours.send(b"\x08" + bytes([kind, 0x12]) + number(len(options)) + options)
    came = None
    while True:
        reply, control, _, _ = ours.recvmsg(65536, socket.CMSG_SPACE(4))
        for _, _, data in control:
            came = array.array("i", data)[0]
        if reply[:2] != b"\x08\x06":
            break
        NAMES.append(reply.split(b"\x0a", 2)[-1][1:].decode(errors="replace"))
        ours.send(b"\x08\x06\x18\x01")
    server.wait()
    if reply[2:4] != b"\x10\x01":
        sys.exit(f"{reply!r} after {NAMES}")
    return came


master, slave = pty.openpty()
tty.setraw(slave)


def own_terminal():
    os.setsid()
    os.close(os.open(os.ttyname(0), os.O_RDWR))


job = subprocess.Popen(["/bin/bash", "-c", JOB], stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, preexec_fn=own_terminal)
os.close(slave)
ask(master, b"one\n", b"answer 1 to one\n")
request(1, b"\x10", number(job.pid))
job.wait()
os.close(master)
master = request(2)
if master is None or not os.isatty(master) or not any("orphan-pts-master" in name for name in NAMES):
    sys.exit(f"no master came: {NAMES}")
ask(master, b"two\n", b"answer 2 to two\n")
