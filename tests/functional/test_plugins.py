"""Circus's plugins in real stacks, inside the supervisor."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from .stack import PYTHON, Daemon, StackCase

JOB = "[watcher:job]\ncmd = sleep 60\n"
FLAPPING = "[plugin:flapping]\nuse = circus.plugins.flapping.Flapping\n"


def receiver() -> tuple[socket.socket, int]:
    """A UDP socket, and its port."""
    found = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    found.bind(("127.0.0.1", 0))
    found.settimeout(30)
    return found, found.getsockname()[1]


class Answering(BaseHTTPRequestHandler):
    """Answers with the code that its server has."""

    def do_GET(self) -> None:
        self.send_response(getattr(self.server, "code", 200))
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], code: int) -> Iterator[HTTPServer]:
    """An HTTP server in a thread."""
    server = HTTPServer(("127.0.0.1", 0), handler)
    server.code = code  # type: ignore[attr-defined]  # read by the handler
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class PluginCase(StackCase):
    """What the tests share."""

    timeout = 60

    def status(self, daemon: Daemon, name: str = "job") -> str:
        """The status of a watcher."""
        return str(daemon.call("status", name=name)["status"])

    def changed(self, daemon: Daemon, before: list[int]) -> None:
        """Wait until other processes run."""
        daemon.until(lambda: daemon.pids("job") not in (before, []))

    def statsd(self, udp: socket.socket, want: str) -> str:
        """Wait for a figure that begins so."""
        while True:
            data = udp.recv(65536).decode()
            if data.startswith(want):
                return data


class FlappingTests(PluginCase):
    """Flapping."""

    def test_stops(self) -> None:
        """A watcher that keeps dying is stopped and started again, so often; then it stays stopped."""
        daemon = self.run_("[watcher:job]\ncmd = false\nflapping.attempts = 2\n" + FLAPPING
                           + "window = 5\nretry_in = 0.2\nmax_retry = 1\nattempts = 99")
        daemon.wait("job is flapping: stopped, and started again in 0.2 s")
        daemon.wait("job is flapping: stopped for good after 1 tries")
        daemon.until(lambda: self.status(daemon) == "stopped")
        self.assertEqual(daemon.detail("job")["stopper"], "plugin flapping (for good)")

    def test_planned(self) -> None:
        """Ends that somebody has asked for do not count."""
        daemon = self.run_("[watcher:job]\ncmd = sleep 60\nnumprocesses = 3\n" + FLAPPING + "window = 60\n")
        for command in ("restart", "reload", "kill", "restart"):
            daemon.call(command, name="job", waiting=True)
        self.assertEqual(self.status(daemon), "active")

    def test_administrator(self) -> None:
        """Who is stopped by somebody while flapping is not started by the plugin."""
        daemon = self.run_("[watcher:job]\ncmd = false\n" + FLAPPING + "window = 5\nretry_in = 1\n")
        daemon.wait("job is flapping")
        daemon.until(lambda: self.status(daemon) == "stopped")
        daemon.call("stop", name="job", waiting=True)
        daemon.wait("start was refused: start by plugin flapping is dropped: job was stopped by")
        self.assertEqual(self.status(daemon), "stopped")

    def test_survives(self) -> None:
        """A watcher that waits to be started again is so after an upgrade, and after a kill."""
        daemon = self.run_("[watcher:job]\ncmd = sh -c 'test -e good && exec sleep 60'\n[watcher:web]\ncmd = sleep 60\n"
                           + FLAPPING + "window = 5\nretry_in = 3\n")
        daemon.wait("job is flapping")
        daemon.until(lambda: self.status(daemon) == "stopped")
        self.assertEqual(daemon.cli("upgrade").returncode, 0)
        self.assertEqual(self.status(daemon), "stopped")
        daemon.kill()
        (daemon.folder / "good").touch()
        daemon.start().wait("watcher")
        daemon.until(lambda: self.status(daemon) == "active")


class StatsdTests(PluginCase):
    """StatsdEmitter and FullStats."""

    def test_events(self) -> None:
        """Events are counted."""
        udp, port = receiver()
        with udp:
            daemon = self.run_(JOB + "[plugin:statsd]\nuse = circus.plugins.statsd.StatsdEmitter\n"
                               f"application_name = shop\nhost = 127.0.0.1\nport = {port}\n")
            daemon.call("restart", name="job", waiting=True)
            self.assertEqual(self.statsd(udp, "circus.shop.watcher.job.kill"), "circus.shop.watcher.job.kill:1|c")
            self.assertEqual(self.statsd(udp, "circus.shop.watcher.job.reap"), "circus.shop.watcher.job.reap:1|c")

    def test_full(self) -> None:
        """What processes use is told, and other settings count at once."""
        udp, port = receiver()
        with udp:
            ini = (JOB + "numprocesses = 2\n[plugin:full]\nuse = circus.plugins.statsd.FullStats\n"
                   f"host = 127.0.0.1\nport = {port}\nloop_rate = 0.1\n")
            daemon = self.run_(ini)
            head = "circus.app.watcher._stats.job"
            self.assertEqual(self.statsd(udp, f"{head}.watchers_num"), f"{head}.watchers_num:2|g")
            self.assertRegex(self.statsd(udp, f"{head}.mem_sum"), rf"^{head}.mem_sum:[0-9]+\|g$")
            daemon.ini.write_text(ini + "application_name = shop\n")
            daemon.call("reloadconfig", waiting=True)
            self.statsd(udp, "circus.shop.watcher._stats.job.cpu_max:")


class ResourceTests(PluginCase):
    """ResourceWatcher."""

    def test_memory(self) -> None:
        """A watcher that has too much memory for too long is restarted, which is told a statsd."""
        udp, port = receiver()
        with udp:
            daemon = self.run_(
                f"[watcher:job]\ncmd = {PYTHON} -c \"import time; x = b'x' * 50000000; time.sleep(60)\"\n"
                "[plugin:r]\nuse = circus.plugins.resource_watcher.ResourceWatcher\nwatcher = job\nmax_mem = 30M\n"
                f"max_count = 1\nloop_rate = 0.2\nhost = 127.0.0.1\nport = {port}\n")
            before = daemon.pids("job")
            self.statsd(udp, "circus.app._resource_watcher.job.over_memory:1|c")
            self.statsd(udp, "circus.app._resource_watcher.job.restarting:1|c")
            self.changed(daemon, before)

    def test_children(self) -> None:
        """Only the child that uses too much is signalled, not its parent, and no other."""
        script = "import os, time\nif os.fork(): time.sleep(60)\nx = b'x' * 50000000\ntime.sleep(60)"
        daemon = self.daemon(
            f"[watcher:job]\ncmd = {PYTHON} script.py\n[plugin:r]\n"
            "use = circus.plugins.resource_watcher.ResourceWatcher\nwatcher = job\nmax_mem = 0.000001\nmax_count = 99\n"
            "loop_rate = 0.2\nprocess_children = 1\n")
        (daemon.folder / "script.py").write_text(script)
        daemon.start().wait("watcher")
        (before,) = daemon.pids("job")
        daemon.wait(f"of process {before} of job uses too much")
        while Path(f"/proc/{before}/task/{before}/children").read_text().strip():
            if all("Z" in Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
                   for child in Path(f"/proc/{before}/task/{before}/children").read_text().split()):
                break
            time.sleep(0.02)
        self.assertEqual(daemon.pids("job"), [before])


class WatchDogTests(PluginCase):
    """WatchDog."""

    def test_silent(self) -> None:
        """A process that is silent is replaced; one that sends goes on."""
        udp, port = receiver()
        udp.close()
        script = ("import os, socket, time\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nwhile True:\n"
                  f"    s.sendto(b'%d;%f' % (os.getpid(), time.time()), ('127.0.0.1', {port}))\n    time.sleep(0.1)\n")
        daemon = self.daemon(
            JOB + f"[watcher:alive]\ncmd = {PYTHON} script.py\n[watcher:other]\ncmd = sleep 60\n"
            f"[plugin:dog]\nuse = circus.plugins.watchdog.WatchDog\nport = {port}\nloop_rate = 1\nmax_count = 2\n"
            "watchers_regex = job|alive\nwatchers_stop_signal = KILL\n")
        (daemon.folder / "script.py").write_text(script)
        daemon.start().wait("watcher")
        before, alive, other = (daemon.pids(name) for name in ("job", "alive", "other"))
        daemon.wait(f"process {before[0]} of job was silent for 2 s")
        self.changed(daemon, before)
        self.assertEqual((daemon.pids("alive"), daemon.pids("other")), (alive, other))

    def test_taken(self) -> None:
        """If the port is taken, the plugin says so and the rest runs."""
        udp, port = receiver()
        with udp:
            daemon = self.daemon(JOB + f"[plugin:dog]\nuse = circus.plugins.watchdog.WatchDog\nport = {port}\n").start()
            daemon.wait("[plugin:dog] cannot start")
            daemon.wait("watcher")
            self.assertEqual(self.status(daemon), "active")


class ReloaderTests(PluginCase):
    """CommandReloader."""

    def test_changes(self) -> None:
        """A watcher is restarted when its program is written anew, or the link to it leads elsewhere."""
        daemon = self.daemon("[watcher:job]\ncmd = ./current/run 60\n[watcher:other]\ncmd = sleep 60\n"
                             "[plugin:r]\nuse = circus.plugins.command_reloader.CommandReloader\nloop_rate = 0.1\n")
        for name in ("one", "two"):
            (daemon.folder / name).mkdir()
            self._program(daemon.folder / name / "run")
        (daemon.folder / "current").symlink_to("one")
        daemon.start().wait("watcher")
        before, other = daemon.pids("job"), daemon.pids("other")
        (daemon.folder / "new").symlink_to("two")
        os.replace(daemon.folder / "new", daemon.folder / "current")
        self.changed(daemon, before)
        before = daemon.pids("job")
        daemon.call("list")
        self._program(daemon.folder / "fresh")
        os.replace(daemon.folder / "fresh", daemon.folder / "two" / "run")
        self.changed(daemon, before)
        self.assertEqual(daemon.pids("other"), other)

    def _program(self, path: Path) -> None:
        path.write_text("#!/bin/sh\nexec sleep $1\n")
        path.chmod(0o755)


class ObserverTests(PluginCase):
    """HttpObserver and RedisObserver."""

    def test_http(self) -> None:
        """How long an answer takes is told; a bad one restarts a watcher."""
        udp, port = receiver()
        with udp, serving(Answering, 200) as server:
            daemon = self.run_(
                JOB + "[plugin:http]\nuse = circus.plugins.http_observer.HttpObserver\n"
                f"check_url = http://127.0.0.1:{server.server_port}/\nloop_rate = 0.2\nrestart_on_error = job\n"
                f"host = 127.0.0.1\nport = {port}\n")
            before = daemon.pids("job")
            self.assertRegex(self.statsd(udp, "circus.app.http_stats.request_time"), r":[0-9]+\|ms$")
            self.assertEqual(daemon.pids("job"), before)
            server.code = 503  # type: ignore[attr-defined]  # read by the handler
            self.statsd(udp, "circus.app.http_stats.error.503:1|c")
            self.changed(daemon, before)

    def test_redis(self) -> None:
        """The figures of a Redis are told; one that does not answer is restarted."""
        udp, port = receiver()
        with udp, socket.create_server(("127.0.0.1", 0)) as redis:
            redis.settimeout(30)
            daemon = self.run_(
                JOB + "[plugin:redis]\nuse = circus.plugins.redis_observer.RedisObserver\n"
                f"redis_url = redis://:secret@127.0.0.1:{redis.getsockname()[1]}/0\nloop_rate = 0.2\ntimeout = 1\n"
                f"restart_on_timeout = job\nhost = 127.0.0.1\nport = {port}\n")
            before = daemon.pids("job")
            with redis.accept()[0] as client:
                asked = client.recv(4096)
                self.assertEqual(asked.split(b"\r\n")[2:5:2], [b"AUTH", b"secret"])
                body = b"# Memory\r\nused_memory:1024\r\nused_memory_human:1K\r\nkeyspace_hits:7\r\n"
                client.sendall(b"+OK\r\n$%d\r\n%s\r\n+OK\r\n" % (len(body), body))
            head = "circus.app.redis_stats"
            self.assertEqual(self.statsd(udp, f"{head}.used"), f"{head}.used_memory:1024|g")
            self.assertEqual(self.statsd(udp, f"{head}.key"), f"{head}.keyspace_hits:7|g")
            client = redis.accept()[0]
            self.changed(daemon, before)
            client.close()
            self.assertNotIn("secret", "\n".join(daemon.lines))


class LifeTests(PluginCase):
    """Plugins and the stack."""

    def test_noCircus(self) -> None:
        """None of them needs the package circus, and a plain stack imports no plugin."""
        daemon = self.run_(JOB + FLAPPING)
        self.assertEqual(daemon.stop(signal.SIGTERM), 0)
