"""
Becoming the installed version: rehearse it in a child, then execute it in place.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError

from .model.errors import WorldError
from .system.handover import Handover, become

REHEARSAL = "--rehearse"
LONGEST = 60.0
"""Seconds that a rehearsal may take."""


class Upgrader:
    """Replaces the image of this process."""

    def __init__(
        self, reactor: Any, argv: Sequence[str], environ: Mapping[str, str], leaving: Callable[[], None],
        own: Mapping[str, str],
    ) -> None:
        """
        @param argv: the program's path and its words.
        @param leaving: called just before it is executed.
        @param own: what only the next image finds in its environment, and not the rehearsal.
        """
        self._reactor = reactor
        self._argv = argv
        self._environ = environ
        self._leaving = leaving
        self._own = own

    async def upgrade(self, handover: Callable[[], Handover]) -> None:
        """
        Rehearse, then become it: returns only by raising.

        @param handover: what is left to it, made when the rehearsal has succeeded.
        @raise WorldError: one line, if the installed version cannot take over.
        """
        await self._rehearse()
        self._leaving()
        try:
            become(self._argv, {**self._environ, **self._own}, handover())
        except OSError as error:
            raise WorldError(f"{self._argv[0]} cannot be executed: {error.strerror}") from None

    async def _rehearse(self) -> None:
        # twistd refuses to start beside a pidfile of a process that lives, as we do.
        words = ["--pidfile=" if word.startswith("--pidfile=") else word for word in self._argv[1:]]
        from twisted.internet.utils import getProcessOutputAndValue

        done: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
            self._argv[0], [*words, REHEARSAL], env=dict(self._environ), path=os.getcwd(), reactor=self._reactor)
        try:
            out, err, code = await done.addTimeout(LONGEST, self._reactor)
        except TimeoutError:
            raise WorldError(f"the installed version did not pass its rehearsal in {LONGEST:g} s") from None
        except Exception as error:
            raise WorldError(f"the rehearsal of the installed version was ended: {error}") from None
        if code:
            said = (err or out).decode("utf-8", "replace").strip().splitlines() or [f"exit status {code}"]
            raise WorldError(f"the installed version failed its rehearsal: {said[-1]}")
