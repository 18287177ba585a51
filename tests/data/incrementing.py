# A client of redis that counts over one connection, and prints each number that it hears. It ends when a number is missing or the
# connection does. Arguments: address, port; with a third one it asks only when a line comes from its standard input.
import socket
import sys

with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection, connection.makefile("rb") as replies:
    heard = 0
    while sys.argv[3:] == [] or sys.stdin.readline():
        connection.sendall(b"INCR counted\r\n")
        reply = replies.readline()
        heard += 1
        if reply != b":%d\r\n" % heard:
            sys.exit(f"instead of {heard} came {reply!r}")
        print(heard - 1, flush=True)
