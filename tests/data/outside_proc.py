#!/usr/bin/python3
"""Files in /proc of a process outside of the tree: opened again while it is still the same process, and not if another one has its id."""
import os, signal, subprocess, sys, time

firn, images = sys.argv[1:]
place = os.path.dirname(images)
JOB = r'''
import os, signal, sys
status, comm = os.open(f"/proc/{sys.argv[1]}/status", os.O_RDONLY), os.open(f"/proc/{sys.argv[1]}/comm", os.O_RDONLY)
os.read(comm, 2)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
open("ready", "w").close()
while True:
    signal.sigwait([signal.SIGUSR1])
    with open("answer.new", "w") as answer:
        answer.write(os.pread(status, 11, 0).decode() + os.read(comm, 64).decode())
    os.rename("answer.new", "answer")
'''


def until(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    sys.exit("it takes too long")


def run(*command, **more):
    return subprocess.run([firn, *command], capture_output=True, text=True, check=False, **more)


def restored(*more, **how):
    done = run("restore", "-D", images, "-d", *more, **how)
    if done.returncode:
        sys.exit(f"{more}: {done}")
    os.kill(job.pid, signal.SIGUSR1)
    until(lambda: os.path.exists("answer"))
    with open("answer") as file:
        text = file.read()
    os.remove("answer")
    os.kill(job.pid, signal.SIGKILL)
    until(lambda: not os.path.exists(f"/proc/{job.pid}"))
    return text


def refused(*parts):
    done = run("restore", "-D", images, "-d")
    if done.returncode != 1 or any(part not in done.stderr for part in parts):
        sys.exit(f"it should have been refused by {parts}: {done}")


os.chdir(place)
null = subprocess.DEVNULL
outside = subprocess.Popen(["/bin/sleep", "1000"], stdin=null, stdout=null, stderr=null, start_new_session=True)
until(lambda: open(f"/proc/{outside.pid}/comm").read() == "sleep\n")
job = subprocess.Popen([sys.executable, "-c", JOB, str(outside.pid)], stdin=null, stdout=null, stderr=null, start_new_session=True)
until(lambda: os.path.exists("ready"))
done = run("dump", "-t", str(job.pid), "-D", images)
if done.returncode:
    sys.exit(f"{done}")
job.wait()
if (said := restored()) != "Name:\tsleepeep\n":
    sys.exit(f"the same process: {said!r}")
outside.kill()
outside.wait()
refused(
    f"belongs to process {outside.pid}, outside of the tree, which has ended since the dump;",
    f"--inherit-fd fd[N]:proc/{outside.pid}/",
)
with open("/proc/sys/kernel/ns_last_pid", "w") as last:
    last.write(str(outside.pid - 1))
time.sleep(0.02)
other = subprocess.Popen(["/usr/bin/tail", "-f", "/dev/null"], stdin=null, stdout=null, stderr=null, start_new_session=True)
if other.pid != outside.pid:
    sys.exit(f"{other.pid} instead of {outside.pid}")
until(lambda: open(f"/proc/{other.pid}/comm").read() == "tail\n")
refused("which has ended since the dump, and another one has its id")
if (said := restored("--allow-changed-files")) != "Name:\ttail\nil\n":
    sys.exit(f"another process, which is allowed: {said!r}")
fds = [os.open(f"/proc/{os.getpid()}/{name}", os.O_RDONLY) for name in ("status", "comm")]
names = [part for fd, name in zip(fds, ("status", "comm")) for part in ("--inherit-fd", f"fd[{fd}]:proc/{outside.pid}/{name}")]
if (said := restored(*names, pass_fds=fds)) != "Name:\tpythopython3\n":
    sys.exit(f"files that are handed in: {said!r}")
other.kill()
