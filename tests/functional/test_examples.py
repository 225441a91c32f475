"""Every example of a stack runs by one command, answers, and stops."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path
from unittest import SkipTest

from .stack import HELLO, SCRIPTS, Daemon, StackCase
from .test_life import get

EXAMPLES = HELLO.parent
PATH = os.pathsep.join((str(SCRIPTS), os.environ.get("PATH", os.defpath), "/usr/sbin"))
NEEDS: dict[str, tuple[str, ...]] = {
    "console": (), "django": ("django", "gunicorn"), "fastapi": ("fastapi", "uvicorn"), "flask": ("flask", "gunicorn"),
    "java": ("java",), "nginx": ("nginx", "gunicorn"), "node": ("node",), "redis": ("redis-server",),
    "ruby": ("ruby", "puma"), "twisted": (),
}
"""What each needs: modules and programs."""
MODULES = frozenset(("django", "fastapi", "flask", "gunicorn", "uvicorn"))
"""Which of them are modules."""
ELSEWHERE = frozenset(("hello", "webstack"))
"""Examples that have tests of their own."""


def there(need: str) -> bool:
    """Whether a module of this Python, or a program that is no Python module, can be had."""
    if need in MODULES:
        return importlib.util.find_spec(need) is not None
    return shutil.which(need, path=PATH) is not None


class ExampleTests(StackCase):
    """The examples."""

    def example(self, name: str) -> tuple[Daemon, int]:
        """A copy of an example on free ports, and the port of its web socket; it runs."""
        missing = [need for need in NEEDS[name] if not there(need)]
        if missing:
            raise SkipTest(f"{', '.join(missing)} not available")
        daemon = self.daemon("", env={"PATH": PATH})
        shutil.copytree(EXAMPLES / name, daemon.folder, dirs_exist_ok=True)
        daemon.folder.chmod(0o755)  # for nginx's workers
        ports = {old: self.free() for old in ("8000", "8001", "6379")}
        for path in daemon.folder.iterdir():
            if path.suffix in (".ini", ".conf"):
                text = path.read_text()
                for old, new in ports.items():
                    text = text.replace(old, str(new))
                path.write_text(text.replace("httpd = True", "httpd = True\nhttpd_port = 0"))
        daemon.start().wait("watcher")
        return daemon, ports["8000"]

    def free(self) -> int:
        """A port that stays free: a bound socket that does not listen keeps it from everybody but an explicit bind."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        self.addCleanup(holder.close)
        return int(holder.getsockname()[1])

    def check(self, name: str, reload: bool = False) -> None:
        """It answers, if that is asked for also after a reload, and stops."""
        daemon, port = self.example(name)
        self.assertIn("hello from", get(port))
        if reload:
            daemon.call("reload", name="web", waiting=True)
            self.assertIn("hello from", get(port))
        self.assertEqual(daemon.stop(), 0, daemon.lines)

    def test_console(self) -> None:
        """What the pictures of the console show, with a watcher that fails."""
        daemon, port = self.example("console")
        self.assertTrue(get(port))
        self.assertEqual(daemon.stop(), 0, daemon.lines)

    def test_django(self) -> None:
        """Django, after its migrations."""
        self.check("django", reload=True)

    def test_fastapi(self) -> None:
        """FastAPI."""
        self.check("fastapi")

    def test_flask(self) -> None:
        """Flask."""
        self.check("flask")

    def test_java(self) -> None:
        """Java."""
        self.check("java")

    def test_nginx(self) -> None:
        """nginx before gunicorn."""
        self.check("nginx", reload=True)

    def test_node(self) -> None:
        """Node."""
        self.check("node")

    def test_redis(self) -> None:
        """Redis, and who depends on it."""
        self.check("redis")

    def test_ruby(self) -> None:
        """Ruby."""
        self.check("ruby")

    def test_twisted(self) -> None:
        """Twisted."""
        self.check("twisted")

    def test_all(self) -> None:
        """Every example has a test."""
        found = {path.parent.name for path in Path(EXAMPLES).glob("*/stack.ini")}
        self.assertEqual(found, ELSEWHERE | NEEDS.keys())
        for name in NEEDS:
            self.assertTrue(hasattr(self, f"test_{name}"), name)
