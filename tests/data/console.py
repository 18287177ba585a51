# Takes the terminals of containers from a socket, as container engines do, and writes all that comes from them to the standard output.
# Arguments: the path of the socket. With a second one, `person`, all that a person types in the terminal of this program goes to the
# container, which is told its size; the newest terminal is the one that is meant.
import array
import fcntl
import os
import select
import socket
import sys
import termios
import tty

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
watched = [server]
if sys.argv[2:] == ["person"]:
    tty.setraw(0)
    watched.append(0)
terminal = None
while True:
    readable, _, _ = select.select(watched, [], [])
    for one in readable:
        if one is server:
            connection, _ = server.accept()
            _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
            connection.close()
            terminal = array.array("i", control[0][2])[0]
            watched.append(terminal)
            if 0 in watched:
                fcntl.ioctl(terminal, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8)))
        elif one == 0:
            os.write(terminal, os.read(0, 4096))
        else:
            try:
                data = os.read(one, 65536)
            except OSError:  # EIO: nobody has the other side open any more
                data = b""
            os.write(1, data)
            if not data:
                watched.remove(one)
                os.close(one)
