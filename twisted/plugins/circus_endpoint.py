"""The endpoint C{circus:web}: the socket that a supervisor has handed to this process."""

from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin, IStreamServerEndpointStringParser)
class Parser:
    """Finds it when it is asked for, and not before."""

    prefix = "circus"

    def parseStreamServer(self, reactor, name="", fd=""):
        """C{circus:NAME}, or C{circus:fd=NUMBER}."""
        from circustwist.system.inherited import endpoint

        return endpoint(reactor, name, fd)


parser = Parser()
