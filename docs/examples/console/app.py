"""Answers whoever connects to an inherited socket, and keeps a processor a little busy."""

import random
import socket
import sys
import time

listening = socket.socket(fileno=int(sys.argv[1]))
listening.setblocking(True)
memory = bytearray(random.randrange(4, 30) << 20)
for number in range(1, sys.maxsize):
    connection, _ = listening.accept()
    connection.recv(1000)
    until = time.monotonic() + random.random() * 0.02
    while time.monotonic() < until:
        pass
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
    connection.close()
    if number % 20 == 0:
        print(f"GET /shop/{number} 200 {random.randrange(200, 9000)} bytes", flush=True)
