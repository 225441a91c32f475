"""
Who somebody is who comes in by one of Circus's endpoints, and what they may do.

An ipc:// endpoint belongs to a user, so that whoever reaches it is that user
or root.  A tcp:// endpoint without CURVE is open to everybody on the host:
they may do everything but say what is run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ..model import given
from ..model.errors import Denied, MessageError
from ..model.inputs import Who
from ..model.users import User, byKey
from .circus import Call

_BY_OWNER = frozenset(("cmd", "args", "env", "uid", "working_dir", "shell", "shell_args"))
"""What the owner of an endpoint may say of what is run as themselves."""


def private(endpoint: str) -> bool:
    """Whether only one user and root reach an endpoint; an abstract address is open to everybody."""
    return endpoint.startswith("ipc://") and not endpoint.startswith("ipc://@")


@attrs.frozen
class Guard:
    """
    The guard of one endpoint.

    @ivar endpoint: its address.
    @ivar insecure: whether everybody who comes in may say what is run.
    @ivar owner: the name of another user to whom the endpoint belongs; empty if it is ours.
    @ivar users: the users as they are now, one of whom everybody has to be; None if no keys are asked for.
    """

    endpoint: str
    insecure: bool = False
    owner: str = ""
    users: Callable[[], Iterable[User]] | None = None

    def who(self, key: str, call: Call) -> Who:
        """
        Who has sent a request.

        @param key: the public CURVE key by which they were let in, in Z85; empty if there is none.
        @raise MessageError: if the owner of the endpoint would add what does not run as them.
        """
        if self.users is not None:
            user = byKey(self.users(), key)
            return Who(f"{user.name} (zmq)", user.role) if user else Who("a stranger (zmq)")
        if not private(self.endpoint):
            return Who("anybody (zmq)", "admin", self.insecure)
        if not self.owner:
            return Who("the supervisor's user (zmq)", "admin")
        return Who(f"{self.owner} (zmq)", "admin", call.command == "add" and self._mayAdd(call))

    def knows(self, key: str) -> bool:
        """Whether somebody has this key."""
        return self.users is not None and byKey(self.users(), key) is not None

    def _mayAdd(self, call: Call) -> bool:
        """Whether a watcher runs as the owner of the endpoint, and does nothing else."""
        options: Any = call.properties.get("options") or {}
        if not isinstance(options, dict) or options.get("uid") != self.owner:
            raise MessageError("uid does not match endpoint_owner")
        more = next((key for key in options if given.defines(key) and key not in _BY_OWNER), None)
        if more is not None:
            raise Denied(f"{more} may not be set by the owner of the endpoint")
        return True
