#!/usr/bin/python3
"""A job in the foreground of a terminal is dumped from elsewhere; the terminal's shell restores it: it answers there, in the foreground."""
import os, pty, select, signal, subprocess, sys, time

firn, images = sys.argv[1:]
JOB = 'n=0; while read -r line; do n=$((n+1)); echo "answer $n to $line"; done'


def foreground(command):
    """Starts a command in a process group of its own, in the foreground, as shells do."""
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execv(command[0], command)
    return pid


def shell(orders, reports):
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = foreground(["/bin/bash", "-c", JOB])
    os.write(reports, b"%d\n" % job)
    os.waitpid(job, 0)
    _, status = os.waitpid(foreground([firn, "restore", "-D", images, "--shell-job"]), 0)
    os.write(reports, b"%d\n" % os.waitstatus_to_exitcode(status))
    os.read(orders, 1)
    os._exit(0)


def report():
    text = b""
    while not text.endswith(b"\n"):
        byte = os.read(from_shell, 1)
        if not byte:
            sys.exit("the shell has ended")
        text += byte
    return text.decode().split()


def say_and_hear(said, awaited):
    os.write(master, said)
    heard, end = b"", time.monotonic() + 60
    while awaited not in heard:
        if not select.select([master], [], [], end - time.monotonic())[0]:
            sys.exit(f"{said!r} was answered with {heard!r}")
        heard += os.read(master, 4096)


orders, to_shell = os.pipe()
from_shell, reports = os.pipe()
pid, master = pty.fork()
if pid == 0:
    shell(orders, reports)
os.close(reports)
job = int(report()[0])
say_and_hear(b"one\n", b"answer 1 to one")
dump = [firn, "dump", "-t", str(job), "-D", images]
refused = subprocess.run(dump, capture_output=True, text=True, check=False)
if refused.returncode != 1 or "--shell-job" not in refused.stderr:
    sys.exit(f"not refused without --shell-job: {refused}")
done = subprocess.run([*dump, "--shell-job"], capture_output=True, text=True, check=False)
if done.returncode:
    sys.exit(done.stderr)
say_and_hear(b"two\n", b"answer 2 to two")
if os.getsid(job) != pid or os.getpgid(job) != job or os.tcgetpgrp(master) != job:
    sys.exit("session, group or foreground group is another")
os.write(master, b"\x03")                       # the terminal's own interrupt reaches it
if report() != [str(128 + signal.SIGINT)]:
    sys.exit("Ctrl-C does not end the job, or its end is not that of firn")
os.write(to_shell, b".")
