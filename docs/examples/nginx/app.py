"""A WSGI application without a framework."""


def app(environ, start):
    """The only page."""
    start("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from behind nginx\n"]
