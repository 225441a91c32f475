"""An ASGI application."""

import os


async def application(scope, receive, send):
    """Says which process answers."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"asgi from {os.getpid()}\n".encode()})
