"""
Restart a watcher from any script, and see what happens.

    python blocking_client.py [CONTROL [WATCHER]]

CONTROL is the path of the control socket; without it $CIRCUSTWIST_CONTROL.
"""

import sys

from circustwist.control.blocking import Control


def main(where: str | None = None, watcher: str = "web") -> None:
    with Control(where, timeout=60.0) as control:
        happened = control.events([f"watcher.{watcher}."])
        print("status:", control.call("status")["statuses"])
        print("restarted:", control.call("restart", name=watcher, waiting=True))
        event = next(happened)
        print("event:", event["topic"], event["worker"])


if __name__ == "__main__":
    main(*sys.argv[1:])
