#!/usr/bin/python3
"""A program whose standard streams are sockets to another program: refused, allowed by name, and handed new ones by --inherit-fd."""
import os, re, socket, subprocess, sys

firn, images = sys.argv[1:]
JOB = 'n=0; while read -r line; do n=$((n+1)); echo "answer $n to $line"; done'


def ask(end, said, answer):
    end.sendall(said)
    heard = end.recv(100)
    if heard != answer:
        sys.exit(f"{said!r} was answered with {heard!r}")


def run(*arguments, status=0, **more):
    done = subprocess.run([firn, *arguments], capture_output=True, text=True, check=False, timeout=60, **more)
    if done.returncode != status:
        sys.exit(f"{arguments}: {done}")
    return done.stderr


ours, its = socket.socketpair()
job = subprocess.Popen(["/bin/bash", "-c", JOB], stdin=its, stdout=its, stderr=subprocess.DEVNULL, start_new_session=True)
its.close()
ask(ours, b"one\n", b"answer 1 to one\n")
key = os.readlink(f"/proc/{job.pid}/fd/0")
refusal = run("dump", "-t", str(job.pid), "-D", images, status=1)
allow = re.search(r"--external (unix\[\d+\])", refusal)
if not allow or f"fd[N]:{key}" not in refusal:
    sys.exit(refusal)
run("dump", "-t", str(job.pid), "-D", images, "--external", allow[1])
job.wait()
ours.close()
if key not in run("restore", "-D", images, "-d", status=1):
    sys.exit("the restore does not say what it needs")
ours, its = socket.socketpair()
again = subprocess.Popen([firn, "restore", "-D", images, "--inherit-fd", f"fd[{its.fileno()}]:{key}"], pass_fds=[its.fileno()])
its.close()
ask(ours, b"two\n", b"answer 2 to two\n")
ours.close()
if again.wait():
    sys.exit(f"restore ended with {again.returncode}")
