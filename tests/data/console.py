# Takes the terminals of containers from a socket, as container engines do, and writes all that comes from them to the standard output.
# Arguments: the path of the socket.
import array
import os
import socket
import sys

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
while True:
    connection, _ = server.accept()
    _, control, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
    connection.close()
    terminal = array.array("i", control[0][2])[0]
    try:
        while data := os.read(terminal, 65536):
            os.write(1, data)
    except OSError:  # EIO: nobody has the other side open any more
        pass
    os.close(terminal)
