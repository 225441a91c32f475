"""A WSGI application."""

import os


def application(environ, startResponse):
    """Says which process answers."""
    startResponse("200 OK", [("Content-Type", "text/plain")])
    return [f"wsgi from {os.getpid()}\n".encode()]
