"""
Restart a watcher from a program that runs Twisted, and see what happens.

    python deferred_client.py [CONTROL [WATCHER]]

CONTROL is the path of the control socket; without it $CIRCUSTWIST_CONTROL.
"""

import os
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from circustwist.control.client import connect


async def main(reactor: Any, where: str, watcher: str = "web") -> None:
    client = await connect(reactor, where)
    happened: Deferred[dict[str, Any]] = Deferred()
    await client.events(lambda event: happened.called or happened.callback(event), [f"watcher.{watcher}."])
    print("status:", (await client.call("status"))["statuses"])
    print("restarted:", await client.call("restart", name=watcher, waiting=True))
    event = await happened
    print("event:", event["topic"], event["worker"])
    client.close()


if __name__ == "__main__":
    given = sys.argv[1:] or [os.environ["CIRCUSTWIST_CONTROL"]]
    react(lambda *arguments: Deferred.fromCoroutine(main(*arguments)), given)
