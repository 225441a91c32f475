"""The faces of a running stack: opened when it starts, closed when it ends."""

from __future__ import annotations

import os
from typing import Any

from .control.amp import ControlFactory, peer
from .door import Door
from .preparation import Prepared
from .system.steering import LocalSteering


class Faces:
    """
    All ways in that the configuration asks for.

    What only some stacks have is imported when it is opened.

    @ivar steering: how the supervisor is steered.
    """

    def __init__(self, reactor: Any, prepared: Prepared, steering: LocalSteering) -> None:
        self._reactor = reactor
        self._prepared = prepared
        self.steering = steering
        self._control: Door | None = None

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
        self._control = Door(self._reactor, rundir, ControlFactory(self.steering, peer(os.getuid(), groups)))
        self._control.open()
        rundir.claim(self._prepared.stack.path)

    def close(self) -> None:
        """Let nobody in any more, and end every connection when what is written has gone out."""
        if self._control is not None:
            self._control.close()
            self._control = None
