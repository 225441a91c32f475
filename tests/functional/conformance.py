"""
Circus 0.19 and a stack of ours side by side, under the same ini, asked the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from .stack import PYTHON, SCRIPTS, TIMEOUT, Daemon

CIRCUS = None if find_spec("circus") else "the package circus is not installed"
DRIVER = Path(__file__).with_name("driver.py")
Json = dict[str, Any]

INI = """[circus]
endpoint = ipc://{folder}/control
pubsub_endpoint = ipc://{folder}/events
{circus}
check_delay = 0.3
"""
UNLISTED = frozenset(("time", "id", "tb", "__name__", "multicast_endpoint"))
"""Keys that are not compared: those of one run, one that leaks into Circus, and one that is off in its ini alone."""


class Driver:
    """
    A process that runs Circus's own client code: C{circusctl} with its command lines, and C{CircusClient}.
    """

    def __init__(self, endpoint: str) -> None:
        self._process = subprocess.Popen(
            [PYTHON, str(DRIVER), endpoint], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, **what: Any) -> Any:
        """Let it do something; see C{driver.py}."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver has died"
        return json.loads(line)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@attrs.define(eq=False)
class Side:
    """
    One of the two supervisors.

    @ivar folder: where its ini and its endpoints are.
    @ivar stop: ends it.
    """

    folder: Path
    process: subprocess.Popen[bytes]
    stop: Callable[[], None]
    _driver: Driver | None = None

    @property
    def endpoint(self) -> str:
        """Where it takes commands."""
        return f"ipc://{self.folder}/control"

    @property
    def driver(self) -> Driver:
        """Circus's own clients of it."""
        if self._driver is None:
            self._driver = Driver(self.endpoint)
        return self._driver

    def call(self, command: str, **properties: Any) -> Json:
        """Ask by C{CircusClient}."""
        found: Json = self.driver(do="call", command=command, properties=properties)
        return found

    def rewrite(self, change: Callable[[str], str]) -> None:
        """Let the ini say something else."""
        (ini,) = self.folder.glob("*.ini")
        ini.write_text(change(ini.read_text()))

    def ctl(self, *words: str) -> Json:
        """Run C{circusctl}: C{code}, C{out} and C{err}."""
        found: Json = self.driver(do="ctl", argv=list(words))
        return found

    def clean(self) -> None:
        """Leave nothing behind."""
        if self._driver is not None:
            self._driver.close()
        self.stop()


def circusd(ini: str, prepare: Callable[[Path], None] = lambda folder: None, circus: str = "") -> Side:
    """
    Circus itself.

    @param ini: its watchers and sockets, C{{folder}} being where it runs.
    @param prepare: makes what it needs there.
    @param circus: more of its C{[circus]} section.
    """
    folder = Path(tempfile.mkdtemp(prefix="cd-"))
    prepare(folder)
    # Circus would be found by everybody on the network, if it were not told otherwise.
    settings = circus.replace("{folder}", str(folder)) + "\nmulticast_endpoint ="
    whole = INI.format(folder=folder, circus=settings) + ini.replace("{folder}", str(folder))
    (folder / "circus.ini").write_text(whole)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(SCRIPTS / "circusd"), "circus.ini"], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "PYTHONPATH": str(folder)})

    def stop() -> None:
        # Asked to end, it may forget that; what runs then is recognised by where it does.
        process.kill()
        process.wait()
        for pid in _inside(folder):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)

    return Side(folder, process, stop)


def _inside(folder: Path) -> Iterator[int]:
    """The processes that work in a folder or below it."""
    for path in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            if folder in (found := path.resolve(), *found.parents):
                yield int(path.parent.name)


def ours(ini: str, prepare: Callable[[Path], None] = lambda folder: None, circus: str = "") -> Side:
    """A stack of ours; see L{circusd}."""
    daemon = Daemon("")
    daemon.env["PYTHONPATH"] = str(daemon.folder)
    prepare(daemon.folder)
    settings = circus.replace("{folder}", str(daemon.folder))
    whole = INI.format(folder=daemon.folder, circus=settings) + ini.replace("{folder}", str(daemon.folder))
    daemon.ini.write_text(whole)
    daemon.start()
    return Side(daemon.folder, daemon.process, daemon.clean)


def normal(value: Any, key: str = "") -> Any:
    """An answer without what differs from one run to the next: times, ids, pids, and where an error came from."""
    if isinstance(value, dict):
        return {_key(k): normal(v, k) for k, v in sorted(value.items()) if k not in UNLISTED}
    if isinstance(value, list):
        return sorted((normal(one, key) for one in value), key=json.dumps)
    if key in ("pids", "started", "kept", "stopped", "pid", "process_pid") and isinstance(value, int):
        return "PID"
    if isinstance(value, str):
        return re.sub(r"/tmp/c[dt]-\w+", "FOLDER", re.sub(r"(?s)^command b'.*?': ", "", value))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _key(name: str) -> str:
    return "PID" if name.isdecimal() else name


def words(text: str) -> str:
    """What C{circusctl} writes, without pids, times and folders."""
    text = re.sub(r"/tmp/c[dt]-\w+", "FOLDER", re.sub(r"command b'.*?': ", "", text))
    return re.sub(r"\b\d+(\.\d+)?[BKMG]?\b", "N", re.sub(r"\bpython[\d.]+", "python", text))


class PairCase(SynchronousTestCase):
    """
    Tests that ask both.

    @cvar ini: under which both run, beside the endpoints.
    @cvar circus: more of C{[circus]}.
    """

    skip = CIRCUS
    ini = ""
    circus = ""
    theirs: Side
    ours: Side

    def setUp(self) -> None:
        """Start both, and wait until they have started everything."""
        self.theirs = circusd(self.ini, self.prepare, self.circus)
        self.addCleanup(self.theirs.clean)
        self.ours = ours(self.ini, self.prepare, self.circus)
        self.addCleanup(self.ours.clean)
        for side in self.sides():
            self.until(side, lambda side: "starting" not in side.call("status").get("statuses", {"": "starting"})
                       .values())

    def prepare(self, folder: Path) -> None:
        """Make what the ini names, in the folder in which one of them is about to run."""

    def sides(self) -> tuple[Side, Side]:
        """Both."""
        return self.theirs, self.ours

    @staticmethod
    def until(side: Side, true: Callable[[Side], bool]) -> None:
        """Wait until something is true of one of them; nothing tells of it but asking."""
        deadline = time.monotonic() + TIMEOUT
        while not true(side):
            if time.monotonic() > deadline:
                told = side.folder / "log"
                log = told.read_text() if told.exists() else ""
                raise AssertionError(f"it did not come about: {side.call('status')} {log}")
            time.sleep(0.05)

    def quiet(self) -> None:
        """Wait until both take commands again: Circus refuses one while it does another."""
        for side in self.sides():
            self.until(side, lambda side: side.call("decr", name="one", nb=0, waiting=True).get("status") == "ok")

    def both(self, ask: Callable[[Side], Any]) -> tuple[Any, Any]:
        """What each of them says."""
        self.quiet()
        theirs = ask(self.theirs)
        while "already running manage_watchers" in json.dumps(theirs):
            theirs = ask(self.theirs)  # its periodic check was under way
        return theirs, ask(self.ours)


__all__ = ["CIRCUS", "Mapping", "PairCase", "Side", "SkipTest", "normal", "words"]
