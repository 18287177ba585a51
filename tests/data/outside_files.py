#!/usr/bin/python3
"""Files, FIFOs and devices from outside: --external file[] and dev[], --inherit-fd by path, by file[] and by key: all get another file."""
import os, stat, subprocess, sys, time

firn, images = sys.argv[1:]
place = os.path.dirname(images)
JOB = r'''
import os, signal, sys
place = sys.argv[1]
os.chdir(place)
one, two = open("one", "r+"), open("two", "r+")
fifo = os.open("fifo", os.O_RDWR | os.O_NONBLOCK)
device = os.open(sys.argv[2], os.O_RDONLY | os.O_NONBLOCK) if len(sys.argv) > 2 else -1
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
open("ready", "w").close()
while True:
    signal.sigwait([signal.SIGUSR1])
    with open("answer.new", "w") as answer:
        answer.write(os.pread(one.fileno(), 64, 0).decode() + os.pread(two.fileno(), 64, 0).decode() + os.read(fifo, 64).decode())
        answer.write(f" device {os.readlink(f'/proc/self/fd/{device}')}" if device >= 0 and os.fstat(device).st_rdev else "")
    os.rename("answer.new", "answer")
'''


def until(path):
    while not os.path.exists(path):
        time.sleep(0.01)


def write(name, text):
    with open(os.path.join(place, name), "w") as file:
        file.write(text)


def run(*command, **more):
    done = subprocess.run([firn, *command], capture_output=True, text=True, check=False, **more)
    if done.returncode:
        sys.exit(f"{command}: {done}")
    return done


def answer(pid):
    os.kill(pid, 10)
    until(os.path.join(place, "answer"))
    with open(os.path.join(place, "answer")) as file:
        text = file.read()
    os.remove(os.path.join(place, "answer"))
    return text


def device_that_opens():
    """Any character device that is none of the known ones and can be opened here."""
    for name in ("/dev/hpet", "/dev/loop-control", "/dev/fuse", "/dev/rtc0", "/dev/hwrng", "/dev/cpu_dma_latency", "/dev/nvram", "/dev/snapshot"):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
            number = os.fstat(fd).st_rdev
            os.close(fd)
            return name, f"{os.major(number)}/{os.minor(number)}"
        except OSError:
            continue
    return None


write("one", "one "), write("two", "two ")
os.mkfifo(os.path.join(place, "fifo"))
os.mkfifo(os.path.join(place, "other"))
device = device_that_opens()
null = subprocess.DEVNULL
job = subprocess.Popen([sys.executable, "-c", JOB, place, *(device[:1] if device else ())], stdin=null, stdout=null, stderr=null, start_new_session=True)
until(os.path.join(place, "ready"))
fds = {os.readlink(f"/proc/{job.pid}/fd/{fd}"): fd for fd in os.listdir(f"/proc/{job.pid}/fd")}
fd = fds[os.path.join(place, "one")]
with open(f"/proc/{job.pid}/fdinfo/{fd}") as info:
    mount = next(int(line.split()[1]) for line in info if line.startswith("mnt_id"))
key = f"file[{mount:x}:{os.stat(os.path.join(place, 'one')).st_ino:x}]"
# A file that is external may be what can't be saved: it has no name any more.
os.remove(os.path.join(place, "one"))
external = ["--external", key] + (["--external", f"dev[{device[1]}]:some"] if device else [])
if device:
    refused = subprocess.run([firn, "dump", "-t", str(job.pid), "-D", images, "--external", key], capture_output=True, text=True, check=False)
    if refused.returncode != 1 or "[device]" not in refused.stderr:
        sys.exit(f"an unknown device: {refused}")
run("dump", "-t", str(job.pid), "-D", images, *external)
job.wait()
without = subprocess.run([firn, "restore", "-D", images, "-d"], capture_output=True, text=True, check=False)
if without.returncode != 1 or f"--inherit-fd fd[N]:{key}" not in without.stderr:
    sys.exit(f"an external file that no one hands in: {without}")
write("three", "three "), write("four", "four ")
three, four = (os.open(os.path.join(place, name), os.O_RDWR) for name in ("three", "four"))
other = os.open(os.path.join(place, "other"), os.O_RDWR)
os.write(other, b"five ")
inherit = ["--inherit-fd", f"fd[{three}]:{key}", "--inherit-fd", f"fd[{four}]:{os.path.join(place, 'two')[1:]}"]
inherit += ["--inherit-fd", f"fd[{other}]:{os.path.join(place, 'fifo')[1:]}"]
# Where a device is at the restore, by its key: nowhere else than before, at another place, or handed in.
node = os.path.join(place, "node")
if device:
    os.mknod(node, 0o600 | stat.S_IFCHR, os.makedev(*map(int, device[1].split("/"))))
for where in ("as before", "at a path", "handed in") if device else ("nowhere",):
    more, handed = [], [three, four, other]
    if where == "at a path":
        more = ["--external", f"dev[some]:{node}"]
    elif where == "handed in":
        handed.append(os.open(node, os.O_RDONLY | os.O_NONBLOCK))
        more = ["--inherit-fd", f"fd[{handed[-1]}]:some"]
    run("restore", "-D", images, "-d", *inherit, *more, pass_fds=handed)
    said = answer(job.pid)
    if said != "three four five " + (f" device {device[0] if where == 'as before' else node}" if device else ""):
        sys.exit(f"after the restore ({where}) it said {said!r}")
    os.kill(job.pid, 9)
    while os.path.exists(f"/proc/{job.pid}"):
        time.sleep(0.01)
    os.write(other, b"five ")
