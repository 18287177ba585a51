#!/usr/bin/python3
"""A program whose standard streams are pipes to another program: refused by name; with --external and --inherit-fd it gets new pipes."""
import os, subprocess, sys

firn, images = sys.argv[1:]
JOB = 'n=0; while read -r line; do n=$((n+1)); echo "answer $n to $line"; done'


def ask(process, said, answer):
    process.stdin.write(said)
    process.stdin.flush()
    heard = process.stdout.readline()
    if heard != answer:
        sys.exit(f"{said!r} was answered with {heard!r}")


job = subprocess.Popen(["/bin/bash", "-c", JOB], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
ask(job, b"one\n", b"answer 1 to one\n")
pipes = [os.readlink(f"/proc/{job.pid}/fd/{fd}") for fd in (0, 1)]
dump = [firn, "dump", "-t", str(job.pid), "-D", images]
refused = subprocess.run(dump, capture_output=True, text=True, check=False)
if refused.returncode != 1 or "[pipe-outside]" not in refused.stderr:
    sys.exit(f"not refused: {refused}")
ask(job, b"two\n", b"answer 2 to two\n")
done = subprocess.run([*dump, "--external", pipes[0], "--external", pipes[1]], capture_output=True, text=True, check=False)
if done.returncode:
    sys.exit(f"dump: {done.stderr}")
job.wait()
restore = [firn, "restore", "-D", images, "--inherit-fd", f"fd[0]:{pipes[0]}", "--inherit-fd", f"fd[1]:{pipes[1]}"]
again = subprocess.Popen(restore, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
ask(again, b"three\n", b"answer 3 to three\n")
again.stdin.close()
if again.wait():
    sys.exit(f"restore ended with {again.returncode}")
