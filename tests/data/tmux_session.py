#!/usr/bin/python3
"""tmux with a shell and its jobs, a pane, vim and nano inside, dumped as a whole after its client has gone: the screens are the same, all goes on, and a client attaches again."""
import os, pty, select, signal, subprocess, sys, time

firn, images = sys.argv[1:]
place = os.path.dirname(images)
os.environ.update(TERM="xterm", LC_ALL="C.UTF-8", HOME=place, SHELL="/bin/bash")
os.environ.pop("TMUX", None)
PANES = ("0.0", "0.1", "1", "2")


def tmux(*arguments):
    command = ["tmux", "-f", "/dev/null", "-S", os.path.join(place, "socket"), *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}")
    return done.stdout


def screen(pane):
    return tmux("capture-pane", "-p", "-t", f"one:{pane}")


def runs(pane, program):
    return tmux("display-message", "-p", "-t", f"one:{pane}", "#{pane_current_command}") == program + "\n"


def until(condition, what):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    sys.exit(f"never happened: {what}; screens: {[screen(pane) for pane in PANES]}")


def run(*command):
    done = subprocess.run([firn, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done}")


def attach(wanted):
    """A client sees the session on a terminal of its own, and goes."""
    pid, master = pty.fork()
    if not pid:
        os.execvp("tmux", ["tmux", "-S", os.path.join(place, "socket"), "attach", "-t", "one"])
    seen = b""
    while wanted not in seen:
        if not select.select([master], [], [], 60)[0]:
            sys.exit(f"a client does not see {wanted!r}, but {seen!r}")
        seen += os.read(master, 65536)
    tmux("detach-client", "-s", "one")
    os.waitpid(pid, 0)
    os.close(master)


text, other = os.path.join(place, "text"), os.path.join(place, "other")
tmux("new-session", "-d", "-s", "one", "-x", "100", "-y", "30", "bash --norc")
tmux("send-keys", "-t", "one:0", "kept=inside; tty; echo sta''rted", "Enter")
tmux("split-window", "-t", "one:0", "cat")
tmux("new-window", "-t", "one", f"vim -n -u NONE {text}")
tmux("new-window", "-t", "one", f"nano --ignorercfiles {other}")
until(lambda: "started" in screen("0.0") and "[New" in screen("1") and "other" in screen("2"), "the programs run")
tmux("send-keys", "-t", "one:0.0", "sleep 100000 &", "Enter", "cat", "Enter")
until(lambda: runs("0.0", "cat"), "a job is in the foreground")
tmux("send-keys", "-t", "one:0.0", "before", "Enter")
until(lambda: screen("0.0").count("before") == 2, "a job in the foreground answers")
tmux("send-keys", "-t", "one:0.0", "C-z")
until(lambda: "Stopped" in screen("0.0"), "it is stopped")
tmux("send-keys", "-t", "one:1", "iwritten in vim")
tmux("send-keys", "-t", "one:2", "written in nano")
tmux("send-keys", "-t", "one:0.0", "half a li")
until(lambda: "written in vim" in screen("1") and "written in nano" in screen("2") and "half a li" in screen("0.0"), "what was typed is shown")
attach(b"written in nano")
server = int(tmux("display-message", "-p", "#{pid}"))
before = [screen(pane) for pane in PANES]
for time_ in range(3):
    os.mkdir(os.path.join(place, f"running-{time_}"))
    run("dump", "-t", str(server), "-D", os.path.join(place, f"running-{time_}"), "-R")
run("dump", "-t", str(server), "-D", images)
until(lambda: not os.path.exists(f"/proc/{server}") or "Z" in open(f"/proc/{server}/stat").read().rsplit(")")[1][:3], "the server is gone")
run("restore", "-D", images, "-d")
after = [screen(pane) for pane in PANES]
if before != after:
    sys.exit(f"the screens were {before}, and are {after}")
attach(b"written in nano")
tmux("send-keys", "-t", "one:0.0", "ne; echo $kept $(tty)", "Enter")
until(lambda: "inside /dev/pts/" in screen("0.0"), "the shell goes on")
tmux("send-keys", "-t", "one:0.0", "clear; jobs", "Enter")
until(lambda: "Running" in screen("0.0") and "Stopped" in screen("0.0"), "the shell has its jobs")
tmux("send-keys", "-t", "one:0.0", "clear; fg", "Enter")
until(lambda: runs("0.0", "cat"), "the job is in the foreground again")
tmux("send-keys", "-t", "one:0.0", "afterwards", "Enter")
until(lambda: screen("0.0").count("afterwards") == 2, "the stopped job goes on in the foreground")
tmux("send-keys", "-t", "one:0.0", "C-c")
until(lambda: runs("0.0", "bash"), "the keyboard ends it")
tmux("send-keys", "-t", "one:0.0", "clear; jobs -r; echo en''ded", "Enter")
until(lambda: "ended" in screen("0.0") and "Running" in screen("0.0"), "it alone has ended")
tmux("send-keys", "-t", "one:0.1", "through cat", "Enter")
tmux("send-keys", "-t", "one:1", ", and on", "Escape", ":wq", "Enter")
tmux("send-keys", "-t", "one:2", ", and on", "C-o", "Enter", "C-x")
until(lambda: screen("0.1").count("through cat") == 2, "cat goes on")
until(lambda: os.path.exists(text) and os.path.exists(other) and tmux("list-windows", "-t", "one").count("\n") == 1, "the editors save and end")
for path, wanted in ((text, "written in vim, and on\n"), (other, "written in nano, and on\n")):
    with open(path, encoding="utf-8") as file:
        if (got := file.read()) != wanted:
            sys.exit(f"{path} has {got!r}")
os.kill(server, signal.SIGKILL)
