#!/usr/bin/python3
"""PostgreSQL under load, and a transaction that is open in psql, through dumps, kills and restores: the same transaction is committed in
the end, with what came before and what came after, and no transaction of pgbench has failed.

postgres.py FIRN IMAGES WHERE PROGRAMS, WHERE being outside (psql and pgbench are no part of the tree) or inside (they are), PROGRAMS the
directory of PostgreSQL's. It runs in a network namespace of its own, which the caller has made.
"""
import os, pwd, subprocess, sys, time

firn, images, where, programs = sys.argv[1:]
os.environ["PATH"] += f":/usr/sbin:/sbin:{programs}"
PORT, ROUNDS, EACH = "7000", 2, 4000
user = pwd.getpwnam("postgres")
work = os.path.join(images, "work")
os.mkdir(work)
os.chown(work, user.pw_uid, user.pw_gid)
above = work
while (above := os.path.dirname(above)) != "/":
    os.chmod(above, os.stat(above).st_mode | 0o011)
AS = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
SERVER = ["postgres", "-D", f"{work}/db", "-c", "listen_addresses=127.0.0.1", "-c", f"port={PORT}", "-c", "fsync=off",
          "-c", f"unix_socket_directories={work}"]
CLIENT = ["psql", "-X", "-A", "-t", "-q", "-h", "127.0.0.1", "-p", PORT, "postgres"]
LOAD = ["pgbench", "-n", "-c", "4", "-j", "2", "-t", str(EACH), "-h", "127.0.0.1", "-p", PORT, "postgres"]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(f"{command}: {done}")
    return done.stdout


def until(what, reason):
    for _ in range(6000):
        if what():
            return
        time.sleep(0.02)
    sys.exit(f"not in time: {reason}; {[open(f'{work}/{name}').read() for name in ('answers', 'load', 'log')]}")


def text(name):
    with open(f"{work}/{name}", encoding="utf-8") as file:
        return file.read()


def say(statement, answers):
    """Says something to psql, and waits until it has answered so many lines in all."""
    with open(f"{work}/statements", "a", encoding="utf-8") as file:
        file.write(statement + "\n")
    until(lambda: len(text("answers").splitlines()) >= answers, statement)
    return text("answers").splitlines()


def start(command, output):
    with open(f"{work}/{output}", "w", encoding="utf-8") as file:
        return subprocess.Popen([*AS, *command], stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, cwd="/")


run("ip", "link", "set", "lo", "up")
run(*AS, "initdb", "-D", f"{work}/db", "-A", "trust", "-N")
for name in "statements", "answers", "load", "log":
    with open(f"{work}/{name}", "w", encoding="utf-8") as file:
        os.chown(file.fileno(), user.pw_uid, user.pw_gid)
speaks = f"tail -n +1 -f {work}/statements | {' '.join(CLIENT)} > {work}/answers 2>&1"
loads = f"{' '.join(LOAD)} > {work}/load 2>&1"
ready = f"until psql -h 127.0.0.1 -p {PORT} -c 'select' postgres; do sleep 0.1; done > /dev/null 2>&1"
ready += f"; pgbench -i -q -h 127.0.0.1 -p {PORT} postgres"
if where == "inside":
    server = start(["sh", "-c", f"{' '.join(SERVER)} & {ready}; {speaks} & {loads} & wait"], "log")
else:
    server = start(SERVER, "log")
    run(*AS, "sh", "-c", ready)
    clients = [start(["sh", "-c", speaks], "rest"), start(["sh", "-c", loads], "rest")]
until(lambda: subprocess.run([*AS, *CLIENT, "-c", "select count(*) from pgbench_history"], capture_output=True, text=True, check=False,
                             stdin=subprocess.DEVNULL).stdout.strip() not in ("", "0"), "the load")
first, = say("create table kept (what text); begin; insert into kept values ('before'); select txid_current();", 1)
pid = str(server.pid)
for number in range(2 * ROUNDS):
    images_of = os.path.join(images, str(number))
    os.mkdir(images_of)
    leave = ["-R"] if number % 2 == 0 else []
    run(firn, "dump", "-t", pid, "-D", images_of, "--tcp-established", "-v4", "-o", "dump.log", *leave)
    if not leave:
        try:
            os.waitpid(int(pid), 0)
        except ChildProcessError:
            while os.path.exists(f"/proc/{pid}"):
                time.sleep(0.01)
        time.sleep(0.2)
        run(firn, "restore", "-D", images_of, "-d", "--tcp-established", "-v4", "-o", "restore.log")
    if "latency" in text("load"):
        sys.exit(f"the load has ended too early: {text('load')}")
    answers = say(f"insert into kept values ('{number}'); select txid_current();", number + 2)
    if answers[1:] != [first] * (number + 1):
        sys.exit(f"another transaction: {answers}")
    unseen = run(*AS, *CLIENT, "-c", "select count(*) from kept")
    if unseen.strip() != "0":
        sys.exit(f"seen before it was committed: {unseen}")
*_, last = say("insert into kept values ('after'); commit; select string_agg(what, ' ') from kept;", 2 * ROUNDS + 2)
if last != "before 0 1 2 3 after":
    sys.exit(f"not all that was said: {last}")
until(lambda: "latency" in text("load"), "the end of the load")
if f"processed: {4 * EACH}/{4 * EACH}\nnumber of failed transactions: 0 " not in text("load"):
    sys.exit(f"the load: {text('load')}")
balances = run(*AS, *CLIENT, "-c", "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)")
if balances.strip() != "t":
    sys.exit("balances differ from what was paid")
os.killpg(int(pid), 9)
if where == "outside":
    for client in clients:
        os.killpg(client.pid, 9)
