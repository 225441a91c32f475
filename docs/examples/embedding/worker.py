"""A server on the socket that it is handed: answers every request with its pid."""

import os
import socket
import sys

listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(True)
body = b"%d\n" % os.getpid()
while True:
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
