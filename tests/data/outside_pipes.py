#!/usr/bin/python3
"""A program whose standard streams are pipes to another program: a warning at the dump; with --inherit-fd it gets new ones, without it finds them closed."""
import os, subprocess, sys

firn, images = sys.argv[1:]
JOB = 'n=0; while read -r line; do n=$((n+1)); echo "answer $n to $line"; done'


def ask(process, said, answer):
    process.stdin.write(said)
    process.stdin.flush()
    heard = process.stdout.readline()
    if heard != answer:
        sys.exit(f"{said!r} was answered with {heard!r}")


job = subprocess.Popen(["/bin/bash", "-c", JOB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
ask(job, b"one\n", b"answer 1 to one\n")
pipes = [os.readlink(f"/proc/{job.pid}/fd/{fd}") for fd in (0, 1)]
done = subprocess.run([firn, "dump", "-t", str(job.pid), "-D", images], capture_output=True, text=True, check=False)
if done.returncode or any(pipe not in done.stderr for pipe in pipes):
    sys.exit(f"dump: {done}")
job.wait()
restore = [firn, "restore", "-D", images, "--inherit-fd", f"fd[0]:{pipes[0]}", "--inherit-fd", f"fd[1]:{pipes[1]}"]
again = subprocess.Popen(restore, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
ask(again, b"two\n", b"answer 2 to two\n")
again.stdin.close()
if again.wait():
    sys.exit(f"restore ended with {again.returncode}")
closed = subprocess.run([firn, "restore", "-D", images], stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
if closed.returncode:
    sys.exit(f"with closed pipes it reads the end and ends well, but: {closed}")
