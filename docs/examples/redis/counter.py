"""Counts its visitors in Redis: python counter.py DESCRIPTOR PORT"""

import socket
import sys

listener = socket.socket(fileno=int(sys.argv[1]))
listener.setblocking(True)
redis = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
while True:
    client, _ = listener.accept()
    with client:
        client.recv(65536)
        redis.sendall(b"INCR visitors\r\n")
        body = b"hello from redis, visitor " + redis.recv(100).strip()[1:] + b"\n"
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
