#!/usr/bin/python3
"""A program that has the master of a terminal whose slave is elsewhere: refused while a process outside has it, and it alone."""
import os, subprocess, sys, time

firn, images = sys.argv[1:]
place = os.path.dirname(images)
JOB = r'''
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
libc.ptsname.restype = ctypes.c_char_p
master = libc.posix_openpt(os.O_RDWR | os.O_NOCTTY)
libc.unlockpt(master)
with open("name.new", "wb") as file:
    file.write(libc.ptsname(master))
os.rename("name.new", "name")
while True:
    time.sleep(1000)
'''


def dump(*refusal):
    done = subprocess.run([firn, "dump", "-t", str(job.pid), "-D", images, "-R"], capture_output=True, text=True, check=False)
    if done.returncode != (1 if refusal else 0) or any(part not in done.stderr for part in refusal):
        sys.exit(f"{refusal}: {done}")


os.chdir(place)
null = subprocess.DEVNULL
job = subprocess.Popen([sys.executable, "-c", JOB], stdin=null, stdout=null, stderr=null, start_new_session=True)
while not os.path.exists("name"):
    time.sleep(0.01)
dump()
with open("name") as file:
    slave = os.open(file.read(), os.O_RDWR | os.O_NOCTTY)
holder = subprocess.Popen(["/bin/sleep", "1000"], stdin=slave, stdout=null, stderr=null, start_new_session=True)
os.close(slave)
dump("[terminal-outside]", f"is open in process {holder.pid} alone")
holder.kill()
holder.wait()
dump()
job.kill()
