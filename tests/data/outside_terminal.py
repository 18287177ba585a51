#!/usr/bin/python3
"""A program on a terminal whose master is outside: --external tty[RDEV:DEV], and at the restore --inherit-fd fd[N]:tty[RDEV:DEV] with another one."""
import os, select, subprocess, sys, termios

firn, images = sys.argv[1:]
JOB = 'n=0; stty -echo; echo ready; while read -r line; do n=$((n+1)); echo "answer $n to $line"; done'


def hear(master, wanted):
    heard = b""
    while wanted not in heard:
        if not select.select([master], [], [], 60)[0]:
            sys.exit(f"instead of {wanted!r} came {heard!r}")
        heard += os.read(master, 4096)


def run(*command, **more):
    done = subprocess.run([firn, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{command}: {done}")


master, slave = os.openpty()
job = subprocess.Popen(["/bin/bash", "-c", JOB], stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
hear(master, b"ready")
os.write(master, b"one\n")
hear(master, b"answer 1 to one")
status = os.fstat(slave)
key = f"tty[{status.st_rdev:x}:{status.st_dev:x}]"
refused = subprocess.run([firn, "dump", "-t", str(job.pid), "-D", images], capture_output=True, text=True, check=False)
if refused.returncode != 1 or "[shell-job]" not in refused.stderr:
    sys.exit(f"a terminal of another program: {refused}")
run("dump", "-t", str(job.pid), "-D", images, "--external", key)
job.wait()
other, inner = os.openpty()
run("restore", "-D", images, "-d", "--inherit-fd", f"fd[{inner}]:{key}", pass_fds=(inner,))
if termios.tcgetattr(inner)[3] & termios.ECHO:
    sys.exit("the new terminal has not the settings of the old one")
os.write(other, b"two\n")
hear(other, b"answer 2 to two")
os.kill(job.pid, 9)
