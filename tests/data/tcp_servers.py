#!/usr/bin/python3
"""Servers under load whose clients go on over the same connections, through dumps, kills and restores.

tcp_servers.py FIRN IMAGES WHAT, WHAT being nginx or memcached (clients outside of the tree), or inside (redis and its client in one tree).
"""
import os, socket, subprocess, sys, tempfile, threading, time

firn, images, what = sys.argv[1:]
os.environ["PATH"] += ":/usr/sbin:/sbin"
ROUNDS, CLIENTS, PORT = 2, 4, 7000
counts, failures, goes_on = [0] * CLIENTS, [], True
CLIENT = """
import os, socket, subprocess, time
server = subprocess.Popen(["redis-server", "--port", "7000", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
while True:
    try:
        connection = socket.create_connection(("127.0.0.1", 7000))
        break
    except OSError:
        time.sleep(0.02)
rest, count, sent = b"", 0, 0
while True:
    if sent - count < 500:
        connection.sendall(b"INCR n\\r\\n" * 100)
        sent += 100
    *lines, rest = (rest + connection.recv(65536)).split(b"\\r\\n")
    for line in lines:
        count += 1
        if line != b":%d" % count:
            open(os.environ["OUT"], "w").write(f"wrong {line} after {count}")
            raise SystemExit(1)
    open(os.environ["OUT"] + ".new", "w").write(str(count))
    os.rename(os.environ["OUT"] + ".new", os.environ["OUT"])
"""


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done}")
    return done.stdout


def connect():
    for _ in range(2000):
        try:
            return socket.create_connection(("127.0.0.1", PORT))
        except OSError:
            time.sleep(0.02)
    sys.exit(f"{what} does not answer")


def talk(number):
    stream = connections[number].makefile("rwb")
    try:
        while goes_on:
            value = b"%d-%d" % (number, counts[number])
            if what == "nginx":
                stream.write(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % value)
                stream.flush()
                status, size = stream.readline(), 0
                while (line := stream.readline()) != b"\r\n":
                    if not line:
                        raise OSError(f"the connection has ended: {status}")
                    if line.lower().startswith(b"content-length:"):
                        size = int(line.split(b":")[1])
                if b" 200 " not in status or stream.read(size) != b"whole /%s\n" % value:
                    raise OSError(f"wrong answer: {status}")
            else:
                stream.write(b"set k%d 0 0 %d\r\n%s\r\nget k%d\r\n" % (number, len(value), value, number))
                stream.flush()
                answer = [stream.readline().strip() for _ in range(4)]
                if answer[0] != b"STORED" or answer[2:] != [value, b"END"]:
                    raise OSError(f"wrong answer: {answer}")
            counts[number] += 1
    except OSError as error:
        failures.append(f"client {number}: {error}")


def progress():
    if failures:
        sys.exit(str(failures))
    if what != "inside":
        return list(counts)
    try:
        text = open(out).read()
    except FileNotFoundError:
        return [0]
    if not text.isdigit():
        sys.exit(text)
    return [int(text)]


def until_more():
    goal = [count + 50 for count in progress()]
    while any(count < wanted for count, wanted in zip(progress(), goal)):
        time.sleep(0.01)


def ended(pid):
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        while os.path.exists(f"/proc/{pid}"):
            time.sleep(0.01)


run("ip", "link", "set", "lo", "up")
work = os.path.join(images, "work")
os.mkdir(work)
out = os.path.join(work, "out")
with open(os.path.join(work, "nginx.conf"), "w") as file:
    file.write(f"""daemon off; pid {work}/pid; error_log {work}/error.log; worker_processes 2; events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {work}/1; proxy_temp_path {work}/2; fastcgi_temp_path {work}/3; uwsgi_temp_path {work}/4;
scgi_temp_path {work}/5; keepalive_requests 1000000000;
server {{ listen 127.0.0.1:{PORT}; location / {{ return 200 "whole $uri\\n"; }} }} }}""")
command = {
    "nginx": ["nginx", "-p", work, "-c", f"{work}/nginx.conf"],
    "memcached": ["memcached", "-u", "root", "-l", "127.0.0.1", "-p", str(PORT)],
    "inside": [sys.executable, "-c", CLIENT],
}[what]
server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
                          env=dict(os.environ, OUT=out))
threads = []
if what != "inside":
    connections = [connect() for _ in range(CLIENTS)]
    threads = [threading.Thread(target=talk, args=[number]) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
until_more()
pid, options = str(server.pid), ["--tcp-established", "-v4"]
for number in range(2 * ROUNDS):
    where = os.path.join(images, str(number))
    os.mkdir(where)
    if number % 2 == 0:
        run(firn, "dump", "-t", pid, "-D", where, "-R", "-o", "dump.log", *options)
    else:
        run(firn, "dump", "-t", pid, "-D", where, "-o", "dump.log", *options)
        ended(int(pid))
        time.sleep(0.3)
        run(firn, "restore", "-D", where, "-d", "-o", "restore.log", *options)
    until_more()
goes_on = False
for thread in threads:
    thread.join()
if failures:
    sys.exit(str(failures))
if tables := run("nft", "list", "ruleset"):
    sys.exit(f"left: {tables}")
os.killpg(int(pid), 9)
ended(int(pid))
