"""
Tells whoever asks in a multicast group where a stack's endpoint is, as Circus does.

Only where the ini has a C{multicast_endpoint}: in Circus every supervisor is in a
group unless it is told not to be.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure


class Discovery(DatagramProtocol):
    """
    Answers every datagram with the endpoint.

    @ivar group: the multicast group.
    """

    noisy = False
    transport: Any
    _log = Logger(namespace="circustwist.zmq")

    def __init__(self, group: str, endpoint: str) -> None:
        self.group = group
        self._answer = json.dumps({"endpoint": endpoint}).encode()

    def startProtocol(self) -> None:
        """Join the group; without it whoever asks this host alone is answered."""
        self.transport.setLoopbackMode(True)
        self.transport.joinGroup(self.group).addErrback(self._alone)

    def _alone(self, failure: Failure) -> None:
        self._log.warn("multicast group {group} cannot be joined: {error}", group=self.group,
                       error=failure.getErrorMessage())

    def datagramReceived(self, datagram: bytes, address: Any) -> None:
        """Somebody asks."""
        self.transport.write(self._answer, address)


def discoverable(reactor: Any, multicast: str, endpoint: str) -> Any:
    """
    Be found.

    @param multicast: C{udp://GROUP:PORT}.
    @return: the port that listens.
    @raise CannotListenError: if it cannot.
    """
    group, _, port = multicast.removeprefix("udp://").rpartition(":")
    return reactor.listenMulticast(int(port), Discovery(group, endpoint), listenMultiple=True)
