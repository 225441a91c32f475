"""A site of twisted.web."""

from twisted.web.resource import Resource


class Home(Resource):
    """The only page."""

    isLeaf = True

    def render_GET(self, request):
        """Answer."""
        request.setHeader("Content-Type", "text/plain")
        return b"hello from twisted\n"
