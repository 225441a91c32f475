"""Part E: what a configuration may be."""

from __future__ import annotations

import os
import signal
import threading
import time

from circustwist.model.ini import Reading, read

from .case import ControlError, FaultCase
from .rows import row

STACK = """
[watcher:keep]
cmd = sleep 1060
[watcher:change]
cmd = sleep 1060
graceful_timeout = 1
[watcher:drop]
cmd = sleep 1060
"""

GOOD = "[watcher:w]\ncmd = sleep 1056\n"


def reading(text: bytes | str, **files: str) -> Reading:
    """What is made of a configuration."""
    data = text.encode() if isinstance(text, str) else text

    def content(path: str) -> bytes:
        name = path.rpartition("/")[2]
        if name == "x.ini":
            return data
        if name not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[name].encode()

    return read("x.ini", content, lambda pattern: [name for name in files if name == pattern], {})


class ConfigurationFaults(FaultCase):
    """The rows of part E."""

    STACK = STACK

    def setUp(self) -> None:
        super().setUp()
        self.text = self.house.ini.read_text()
        self.addCleanup(self.restore)

    def restore(self) -> None:
        """The configuration as it was, and nothing runs."""
        self.house.ini.write_text(self.text)
        self.house.call("reloadconfig", waiting=True)
        for name in ("keep", "change", "drop"):
            self.down(name)

    @row("E56", "a syntax error, a binary or empty file, 11 MB, CRLF, a byte order mark, Latin-1",
         "told with file and line, nothing is started; what is harmless is read")
    def test_E56_files(self) -> None:
        for bad in (b"watcher:w\ncmd = x\n", b"[watcher:w\ncmd = x\n", os.urandom(4096), b"\0" * 100,
                    b"[watcher:w]\ncmd = caf\xe9\n", b"#" * (11 << 20)):
            problems = reading(bad).problems
            self.assertTrue(problems and all(problem.place.file == "x.ini" for problem in problems), bad[:20])
        for good in (GOOD.replace("\n", "\r\n").encode(), b"\xef\xbb\xbf" + GOOD.encode()):
            self.assertEqual([w.cmd for w in reading(good).stack.watchers], ["sleep 1056"])
        self.assertEqual(reading(b"").fatal, ())
        daemon = self.wrapped("[watcher:w\ncmd = touch FOLDER/made\n").start()
        self.assertEqual((daemon.join(), (daemon.folder / "made").exists()), (2, False))
        self.assertIn("stack.ini:3", str(daemon.lines))

    @row("E57", "sections or options that come twice, options that do not exist", "told by name with both lines")
    def test_E57_twice(self) -> None:
        problems = list(map(str, reading(GOOD + "cmd = other\nnumprocesse = 3\n" + GOOD).problems))
        self.assertIn("x.ini:3: [watcher:w] cmd: stands in line 2 already, which counts", problems)
        self.assertTrue(any("did you mean numprocesses" in each for each in problems), problems)

    @row("E58", "includes in a circle, ten thousand of them, none that match, of folders or pipes",
         "each file is read once; what cannot be read is told by name and never waited for")
    def test_E58_includes(self) -> None:
        circle = reading("[circus]\ninclude = a.ini x.ini\n" + GOOD, **{"a.ini": "[circus]\ninclude = x.ini\n"})
        self.assertEqual((len(circle.stack.watchers), circle.fatal), (1, ()))
        self.assertIn("nothing", str(reading("[circus]\ninclude = nothing*.ini\n" + GOOD).problems))
        many = {f"{n}.ini": f"[watcher:w{n}]\ncmd = true\n" for n in range(10_000)}
        text = "[circus]\ninclude = " + " ".join(many) + "\n"
        began = time.monotonic()
        found = read("x.ini", lambda path: text.encode() if path == "x.ini" else many[path.rpartition("/")[2]].encode(),
                     lambda pattern: [pattern], {})
        self.assertTrue(found.problems or len(found.stack.watchers) == 10_000)
        self.assertLess(time.monotonic() - began, 30)
        daemon = self.wrapped("[circus]\ninclude = FOLDER/pipe\n[watcher:w]\ncmd = true\n")
        os.mkfifo(daemon.folder / "pipe")
        self.assertEqual(daemon.start().join(), 2)
        self.assertIn("pipe", str(daemon.lines))

    def broken(self) -> None:
        """Break the configuration."""
        self.house.ini.write_text(self.text + "[watcher:new]\ncmd = sleep 1\nnumprocesses = many\n")

    @row("E59", "a reload of a broken file, by command and by SIGHUP",
         "refused, told to who asked and in the log; nothing changes")
    def test_E59_broken(self) -> None:
        pids = self.up("keep")
        self.broken()
        with self.assertRaises(ControlError) as caught:
            self.house.call("reloadconfig", waiting=True)
        self.assertIn("numprocesses", str(caught.exception))
        self.house.process.send_signal(signal.SIGHUP)
        self.house.wait("numprocesses")
        self.assertEqual(self.house.pids("keep"), pids)
        self.assertNotIn("new", self.house.call("list")["watchers"])

    @row("E60", "a reload removes, adds and changes", "only what is touched is restarted")
    def test_E60_difference(self) -> None:
        before = {name: self.up(name) for name in ("keep", "change", "drop")}
        text = self.text.replace("graceful_timeout = 1\n", "graceful_timeout = 2\nnumprocesses = 2\n")
        text = text.partition("[watcher:drop]")[0] + "[watcher:new]\ncmd = sleep 1060\n"
        self.house.ini.write_text(text)
        self.house.call("reloadconfig", waiting=True)
        self.assertEqual(self.house.pids("keep"), before["keep"])
        self.assertEqual((len(self.house.pids("change")), self.house.pids("change")[0]), (2, before["change"][0]))
        self.assertEqual(len(self.house.pids("new")), 1)
        self.assertNotIn("drop", self.house.call("list")["watchers"])

    @row("E61", "a reload while another is under way, or something starts or stops",
         "one after the other, or refused by name: never half")
    def test_E61_busy(self) -> None:
        refused, done = [], []

        def again() -> None:
            for _ in range(10):
                try:
                    done.append(self.house.call("reloadconfig", waiting=True))
                except ControlError as error:
                    refused.append(error.name)

        clients = [threading.Thread(target=again) for _ in range(4)]
        for client in clients:
            client.start()
        for _ in range(5):
            self.house.call("restart", name="keep", waiting=True)
        for client in clients:
            client.join()
        self.assertTrue(done)
        self.assertLessEqual(set(refused), {"Conflict"})
        self.assertEqual(len(self.house.pids("keep")), 1)

    @row("E62", "the file is replaced while it is read", "either the old or the new one is taken, whole")
    def test_E62_replaced(self) -> None:
        versions = [f"{self.text}[watcher:{name}]\ncmd = sleep 1062\nautostart = False\n" for name in ("a1", "b1")]
        done = threading.Event()

        def replace() -> None:
            for number in range(10**6):
                if done.is_set():
                    return
                new = self.house.ini.with_name("new")
                new.write_text(versions[number % 2])
                new.rename(self.house.ini)

        writer = threading.Thread(target=replace)
        writer.start()
        try:
            for _ in range(20):
                self.house.call("reloadconfig", waiting=True)
                names = set(self.house.call("list")["watchers"]) - {"keep", "change", "drop"}
                self.assertIn(names, ({"a1"}, {"b1"}, set()))
        finally:
            done.set()
            writer.join()

    @row("E63", "values of a wrong type, too large, nan, negative times", "refused by name and line")
    def test_E63_values(self) -> None:
        for option, values in {
            "numprocesses": ("x", "-1", "1.5", "nan", "9" * 40), "graceful_timeout": ("-1", "nan", "inf", "1 year"),
            "max_memory": ("-1", "1 QB", "nan"), "copy_env": ("perhaps",), "umask": ("9", "7777777", "x"),
            "stop_signal": ("SIGNOPE", "999", "-1"), "respawn": ("often",), "nice": ("x",),
        }.items():
            for value in values:
                (problem, *_) = reading(f"{GOOD}{option} = {value}\n").problems
                self.assertEqual((problem.place.line, problem.option, problem.fatal), (3, option, True), value)

    @row("E64", "everybody may write to the configuration that root starts", "refused; by a reload too")
    def test_E64_writable(self) -> None:
        self.asRoot()
        os.chmod(self.house.ini, 0o666)
        self.addCleanup(os.chmod, self.house.ini, 0o644)
        with self.assertRaises(ControlError) as caught:
            self.house.call("reloadconfig", waiting=True)
        self.assertIn("everybody may write", str(caught.exception))
        daemon = self.wrapped("[watcher:w]\ncmd = sleep 1064\n")
        os.chmod(daemon.ini, 0o622)
        self.assertEqual(daemon.start().join(), 2)
        self.assertIn("everybody may write", str(daemon.lines))
        daemon.options = ("--insecure-config",)
        self.begun(daemon)
