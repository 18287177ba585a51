#!/usr/bin/python3
"""Connections of clients outside that a server has not accepted yet: through dump, kill and restore, with what they have sent.

tcp_waiting.py FIRN IMAGES WHERE, WHERE being loopback, loopback6 or veth (clients in another network namespace), booted (the images are
made to say that the machine was booted since), or again (a first restore fails when some of them are in their place).
"""
import hashlib, json, os, re, socket, subprocess, sys, time

firn, images, where = sys.argv[1:]
os.environ["PATH"] += ":/usr/sbin:/sbin"
PORT = 7000
SERVER = """
import hashlib, os, socket, sys, time
address, work = sys.argv[1:]
listener = socket.create_server((address, 7000), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=16)
open(work + "/listens", "w")
while not os.path.exists(work + "/go"):
    time.sleep(0.02)
names = []
for _ in range(int(open(work + "/go").read())):
    connection, name = listener.accept()
    names.append(str(name[1]))
    digest = hashlib.sha256()
    connection.sendall(b"hello\\n")
    while data := connection.recv(65536):
        digest.update(data)
    connection.sendall(digest.hexdigest().encode() + b"\\n" + bytes(2000000))
    connection.close()
open(work + "/names", "w").write(" ".join(names))
time.sleep(1000)
"""
EARLY = [b"", b"early", bytes(range(256)) * 400, b"", b"and that is all", b"x" * 5]
ENDED = 4


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command}: {done}")
    return done.stdout


def until(path):
    for _ in range(1500):
        if os.path.exists(path):
            return
        time.sleep(0.02)
    sys.exit(f"no {path}")


work = os.path.join(images, "work")
os.mkdir(work)
run("ip", "link", "set", "lo", "up")
address, inside = {"loopback6": "::1", "veth": "10.9.8.1"}.get(where, "127.0.0.1"), []
dump_options, restore_options = [], []
if where == "veth":
    holder = subprocess.Popen(["unshare", "--net", "sleep", "1000"], start_new_session=True)
    while os.readlink(f"/proc/{holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
        time.sleep(0.01)
    network = f"/proc/{holder.pid}/ns/net"
    inside = ["nsenter", f"--net={network}"]
    run("ip", "link", "add", "va", "type", "veth", "peer", "name", "vb", "netns", str(holder.pid))
    run("ip", "addr", "add", "10.9.8.2/24", "dev", "va")
    run("ip", "link", "set", "va", "up")
    run(*inside, "ip", "addr", "add", "10.9.8.1/24", "dev", "vb")
    for device in "vb", "lo":
        run(*inside, "ip", "link", "set", device, "up")
    inode = re.search(r"\[(\d+)\]", os.readlink(network))[1]
    dump_options, restore_options = ["--external", f"net[{inode}]:outside"], ["--external", f"net[outside]:{network}"]
server = subprocess.Popen([*inside, sys.executable, "-c", SERVER, address, work], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=open(work + "/errors", "w"), start_new_session=True, cwd="/")
until(work + "/listens")
clients = []
for early in EARLY:
    clients.append(socket.create_connection((address, PORT)))
    clients[-1].sendall(early)
    time.sleep(0.05)
clients[ENDED].shutdown(socket.SHUT_WR)
time.sleep(0.1)
pid, options = str(server.pid), ["--tcp-established", "-v4"]
command = [firn, "dump", "-t", pid, "-D", images, "-R", *options, *dump_options]
refused = subprocess.run(command, capture_output=True, text=True, check=False)
if refused.returncode == 0 or "[tcp-accept-queue]" not in refused.stderr or "leave-running" not in refused.stderr:
    sys.exit(f"not refused where the tree runs on: {refused}")
run(firn, "dump", "-t", pid, "-D", images, "-o", "dump.log", *options, *dump_options)
server.wait()
clients[5].sendall(b"sent while it was away")
stream, = (name for name in os.listdir(images) if name.startswith("tcp-stream-"))
stream = os.path.join(images, stream)
message = json.loads(run(firn, "decode", stream))
if len(message["entries"][0]["waiting"]) != len(EARLY):
    sys.exit(f"not all are saved: {message}")
if where == "booted":
    for waiting in message["entries"][0]["waiting"]:
        waiting["boot"] = "another"
    with open(work + "/changed", "w") as file:
        json.dump(message, file)
    run(firn, "encode", "-i", work + "/changed", "-o", stream)
time.sleep(0.3)
if where == "again":
    port = clients[2].getsockname()[1]
    run("nft", f"table inet other {{ chain in {{ type filter hook input priority 0; tcp sport {port} drop; }}; }}")
    command = [firn, "restore", "-D", images, "-d", "-o", "failed.log", *options]
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    if failed.returncode == 0 or "can't be put back into the queue" not in failed.stderr:
        sys.exit(f"restored in spite of all: {failed}")
    run("nft", "delete table inet other")
    time.sleep(0.3)
run(firn, "restore", "-D", images, "-d", "-o", "restore.log", *options, *restore_options)
with open(work + "/go.new", "w") as file:
    file.write(str(len(EARLY)))
os.rename(work + "/go.new", work + "/go")
for number, (client, early) in enumerate(zip(clients, EARLY)):
    client.settimeout(60)
    whole = early + (b"sent while it was away" if number == 5 else b"")
    if number != ENDED:
        client.sendall(b"late" * 500000)
        client.shutdown(socket.SHUT_WR)
        whole += b"late" * 500000
    answer = b""
    while data := client.recv(65536):
        answer += data
    if answer != b"hello\n" + hashlib.sha256(whole).hexdigest().encode() + b"\n" + bytes(2000000):
        sys.exit(f"client {number}: wrong answer of {len(answer)} bytes: {answer[:80]}")
until(work + "/names")
if open(work + "/names").read() != " ".join(str(client.getsockname()[1]) for client in clients):
    sys.exit("accepted in another order")
if tables := run(*inside, "nft", "list", "ruleset"):
    sys.exit(f"left: {tables}")
os.killpg(int(pid), 9)
if where == "veth":
    holder.kill()
