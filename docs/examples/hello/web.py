"""
A small web worker: it serves a WSGI application on a listening socket that it
inherited, beside any number of others on the same socket.
"""

import argparse
import os
import selectors
import signal
import socket
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer


def hello(environ, startResponse):
    """The application: says which process answers."""
    startResponse("200 OK", [("Content-Type", "text/plain")])
    return [f"hello from {os.getpid()}\n".encode()]


class Handler(WSGIRequestHandler):
    """One request, without a line in the log; a client may be silent for 5 seconds in the middle of it."""

    timeout = 5

    def log_message(self, format, *args):
        """Say nothing."""


class Server(WSGIServer):
    """A server on a socket that somebody else has bound."""

    def __init__(self, listener):
        super().__init__(("", 0), Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        address = listener.getsockname()
        self.server_name, self.server_port = address[:2] if isinstance(address, tuple) else (address, 0)
        self.setup_environ()
        self.set_app(hello)

    def handle_error(self, request, client_address):
        """The client went away or fell silent: that is its own affair."""


def serve(server, stop):
    """
    Answer requests until C{stop} can be read, then those of the clients who
    are connected.

    A connection is answered when its request arrives: a client who only
    connects keeps nobody waiting, and at the end half a second at most.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(stop, selectors.EVENT_READ)
        selector.register(server.socket, selectors.EVENT_READ)
        while stop in selector.get_map():
            for key, _ in selector.select():
                if key.fileobj is stop:
                    selector.unregister(stop)
                    selector.unregister(server.socket)
                elif key.fileobj is server.socket:
                    accept(server, selector)
                else:
                    answer(server, selector, key)
        while selector.get_map() and (ready := selector.select(timeout=0.5)):
            for key, _ in ready:
                answer(server, selector, key)


def accept(server, selector):
    """Take a connection, unless another worker was faster."""
    try:
        connection, address = server.get_request()
    except OSError:
        return
    # The client of a UNIX socket has no address.
    selector.register(connection, selectors.EVENT_READ, address or ("local", 0))


def answer(server, selector, key):
    """Answer one request."""
    selector.unregister(key.fileobj)
    try:
        server.process_request(key.fileobj, key.data)
    except Exception:
        server.shutdown_request(key.fileobj)


def main():
    """Serve on the descriptor C{--fd} until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket's descriptor")
    fd = parser.parse_args().fd
    stop, tell = socket.socketpair()
    signal.signal(signal.SIGTERM, lambda *_: tell.send(b"."))
    listener = socket.socket(fileno=fd)
    # The socket is shared: whoever comes second to a connection must not wait for the next.
    listener.setblocking(False)
    print("serving on fd", fd, flush=True)
    serve(Server(listener), stop)


if __name__ == "__main__":
    main()
