"""The faces of a running stack: opened when it starts, closed when it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger, globalLogPublisher

from . import endpoints
from .control.amp import MOST_CONNECTIONS, ControlFactory
from .control.peer import peer
from .door import Door
from .logs import remembering
from .model.events import Occurrence
from .model.inputs import Who
from .model.stack import Stack
from .preparation import Prepared
from .system import reserve
from .system.steering import LocalSteering

if TYPE_CHECKING:
    from .control.zmq import Endpoints
    from .secure import SecureDoor
    from .webface import WebFace


class Faces:
    """
    All ways in that the configuration asks for.

    What only some stacks have is imported when it is opened.

    @ivar steering: how the supervisor is steered.
    """

    _log = Logger(namespace="circustwist")

    def __init__(
        self, reactor: Any, prepared: Prepared, steering: LocalSteering, stack: Callable[[], Stack]
    ) -> None:
        """
        @param stack: the configuration that is in force.
        """
        self._reactor = reactor
        self._prepared = prepared
        self.steering = steering
        self._stack = stack
        self._control: Door | None = None
        self._others: list[Endpoints | SecureDoor] = []
        self._web: WebFace | None = None
        self._served: tuple[object, ...] = ()
        self._unsubscribe: Callable[[], None] = lambda: None
        self._remember = remembering(steering.tails)
        self._factories: dict[str, ControlFactory] = {}
        self._unoffer: Callable[[], None] = lambda: None

    @property
    def opened(self) -> bool:
        """Whether somebody may come in."""
        return self._control is not None

    def open(self) -> None:
        """
        Let everybody in.

        @raise OSError: if the control socket cannot be opened.
        """
        rundir = self._prepared.rundir
        groups = [rundir.controlGroup] if rundir.controlGroup >= 0 else []
        identify = peer(os.getuid(), groups, lambda: self._stack().users)
        factory = ControlFactory(self.steering, identify, lambda: min(MOST_CONNECTIONS, reserve.files() // 4))
        self._factories["control socket"] = factory
        self._control = Door(self._reactor, rundir, factory, self._everybody)
        self._control.open()
        rundir.claim(self._prepared.stack.path)
        self._unsubscribe = self.steering.subscribe(self._happened)
        self._unoffer = self.steering.offer("clients", self._clients)
        globalLogPublisher.addObserver(self._remember)
        circus = endpoints.open(self._reactor, self._stack, self.steering)
        self._others += [circus] if circus is not None else []
        if self._stack().settings.control_tls:
            self._openSecure()
        self._serve()

    def _openSecure(self) -> None:
        """Let people in by TLS."""
        try:
            from .secure import SecureDoor, Visitors, holder
        except ImportError:
            self._log.error("[circus] control_tls: pyOpenSSL is not installed; pip install 'circustwist[tls]'")
            return
        factory = Visitors(
            self.steering, holder(lambda: self._stack().users), lambda: min(MOST_CONNECTIONS, reserve.files() // 8))
        self._factories["tls"] = factory
        door = SecureDoor(self._reactor, self._stack().settings, factory)
        self._others.append(door)
        door.open()

    def _serve(self) -> None:
        """Serve the console as the configuration says."""
        settings = self._stack().settings
        wanted = (settings.httpd, settings.httpd_host, settings.httpd_port, settings.httpd_prefix)
        if wanted == self._served:
            return
        self._served = wanted
        if self._web is not None:
            self._web.close()
            self._web = None
        if settings.httpd:
            try:
                from .webface import WebFace

                self._web = WebFace(self._reactor, self.steering, self._stack, self._prepared.rundir)
                self._web.open()
            except Exception:
                # The stack runs without it, too.
                self._log.failure("the console cannot be served")

    def _happened(self, occurrence: Occurrence) -> None:
        """Each end of an operation may have brought other users, or another console."""
        if occurrence.event.name == "operation" and self._control is not None:
            self._control.admit()
            self._serve()

    def _clients(self, arguments: Mapping[str, Any], who: Who) -> Mapping[str, Any]:
        """Who is connected."""
        found = [(one, since, way) for way, factory in self._factories.items() for one, since in factory.clients()]
        found += [(one, since, "console") for one, since in self._web.console.feed.clients()] if self._web else []
        now = time.time()
        return {"clients": [
            {"name": one.name, "role": one.role, "way": way, "age": round(max(0.0, now - since), 1)}
            for one, since, way in sorted(found, key=lambda each: each[1])]}

    def _everybody(self) -> bool:
        """Whether people are recognised at the control socket who need not be of its group."""
        return any(user.uid or user.group for user in self._stack().users)

    def close(self) -> None:
        """Let nobody in any more, and end every connection when what is written has gone out."""
        self._unsubscribe()
        self._unoffer()
        globalLogPublisher.removeObserver(self._remember)
        if self._control is not None:
            self._control.close()
            self._control = None
        while self._others:
            self._others.pop().close()
        if self._web is not None:
            self._web.close()
            self._web = None
