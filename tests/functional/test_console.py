"""The console of a real supervisor, asked by programs: who gets in, what they may do, and what survives."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from circustwist.control.blocking import ControlError
from circustwist.model.keys import hashed

from .http import OURS, Visitor, linked, served, until
from .stack import SCRIPTS, TIMEOUT, Daemon

PASSWORD = "correct horse battery"
INI = f"""
[circus]
httpd = True
httpd_port = 0

[watcher:web]
cmd = sleep 600

[env:web]
DB_PASSWORD = canary-in-env

[user:ann]
role = admin
password_hash = {hashed(PASSWORD, b"0123456789abcdef")}

[user:vic]
password_hash = {hashed(PASSWORD, b"fedcba9876543210")}
"""
NGINX = """
pid nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    server {
        listen 127.0.0.1:%d;
        location /ops/ {
            proxy_pass http://127.0.0.1:%d;
            proxy_set_header Host $http_host;
        }
    }
}
"""
ROUTES = ("/", "/table", "/stream", "/metrics", "/command", "/login", "/logout", "/static/x/main.js", "/nowhere")


class ConsoleTestCase(SynchronousTestCase):
    """A supervisor with a console."""

    def started(self, ini: str = INI) -> Daemon:
        """A supervisor that runs until the test is over."""
        daemon = Daemon(ini).start()
        self.addCleanup(daemon.stop)
        return daemon


class LoginTests(ConsoleTestCase):
    """Tests of how somebody gets in."""

    def test_link(self) -> None:
        """The link of the start lets one in once, as an operator; others may only look."""
        daemon = self.started()
        ann, token = served(daemon)
        eve = Visitor(ann.port)
        self.assertEqual(ann.command("incr", name="web"), (403, "Denied"))
        self.assertEqual(ann.post("/login", {"token": token})[0], 200)
        cookie = ann.given["Set-Cookie"]
        self.assertTrue("HttpOnly" in cookie and "samesite=strict" in cookie.lower(), cookie)
        self.assertEqual(eve.post("/login", {"token": token})[0], 403)
        self.assertEqual(ann.command("incr", name="web", waiting=True)[0], 200)
        self.assertEqual(len(daemon.pids("web")), 2)
        self.assertEqual(ann.command("quit"), (403, "Denied"))
        self.assertEqual(eve.command("incr", name="web"), (403, "Denied"))
        self.assertEqual(eve.command("status")[0], 200)
        self.assertEqual(eve.hello()["you"]["role"], "viewer")
        self.assertEqual(ann.hello()["you"]["role"], "operator")
        ann.post("/logout")
        self.assertEqual(ann.command("incr", name="web"), (403, "Denied"))

    def test_another(self) -> None:
        """circustwist console makes another link, with a role of at most one's own."""
        daemon = self.started()
        daemon.wait("#login=")
        port, token = linked(daemon.call("console", role="admin")["url"])
        ann = Visitor(port)
        self.assertEqual(ann.post("/login", {"token": token})[1]["you"]["role"], "admin")
        self.assertEqual(ann.command("console", role="admin")[0], 200)
        self.assertEqual(Visitor(port).command("console"), (403, "Denied"))

    def test_clients(self) -> None:
        """Operators see who is connected by which way; others do not."""
        daemon = self.started()
        ann, token = served(daemon)
        self.assertEqual(ann.command("clients"), (403, "Denied"))
        ann.post("/login", {"token": token})
        with ann.looking():
            found = daemon.call("clients")["clients"]
        self.assertEqual(
            [(one["way"], one["role"]) for one in found], [("console", "operator"), ("control socket", "admin")])

    def test_password(self) -> None:
        """A password lets its user in; who guesses has to wait, whether there is such a user or not."""
        made = subprocess.run(
            [str(SCRIPTS / "circustwist"), "passwd"], input=f"{PASSWORD}\n", capture_output=True, text=True,
            timeout=TIMEOUT, check=True)
        visitor, _ = served(self.started(INI + f"\n[user:eve]\nrole = operator\n{made.stdout}"))
        self.assertEqual(visitor.post("/login", {"name": "Ann", "password": PASSWORD})[1]["you"]["role"], "admin")
        self.assertEqual(visitor.post("/login", {"name": "eve", "password": PASSWORD})[1]["you"]["role"], "operator")
        texts = set()
        for name in ("ann", "nobody", "ann", "nobody", "vic"):
            status, found = visitor.post("/login", {"name": name, "password": "guess"})
            self.assertEqual(status, 403)
            texts.add(found["error"]["text"])
        self.assertEqual(len(texts), 1)
        status, _ = visitor.post("/login", {"name": "ann", "password": PASSWORD})
        self.assertEqual((status, "Retry-After" in visitor.given), (429, True))

    def test_survives(self) -> None:
        """Who has logged in still is after an upgrade, and after the supervisor was killed."""
        daemon = self.started()
        visitor, token = served(daemon)
        visitor.post("/login", {"token": token})
        daemon.call("upgrade", waiting=False)
        visitor.port, _ = linked(daemon.wait("#login="))
        self.assertEqual(visitor.hello()["you"]["role"], "operator")
        daemon.kill()
        daemon.start()
        visitor.port, _ = linked(daemon.wait("#login="))
        self.assertEqual(visitor.hello()["you"]["role"], "operator")


class StrangerTests(ConsoleTestCase):
    """Tests of requests that must come to nothing."""

    def test_rebinding(self) -> None:
        """No request that names another host is answered, whatever it asks for."""
        visitor, token = served(self.started())
        visitor.post("/login", {"token": token})
        for host in ("evil.example", f"evil.example:{visitor.port}", "localhost.evil.example", ""):
            for path in ROUTES:
                for method in ("GET", "POST", "HEAD", "PUT"):
                    status, _ = visitor.ask(method, path, "{}" if method == "POST" else None, **{**OURS, "Host": host})
                    self.assertEqual(status, 421, (method, path, host))

    def test_crossSite(self) -> None:
        """What another site can make a browser send changes nothing, even with the cookie."""
        daemon = self.started()
        visitor, token = served(daemon)
        visitor.post("/login", {"token": token})
        pids, stop = daemon.pids("web"), '{"command":"stop","arguments":{"waiting":true}}'
        for headers in (
            {"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "application/json"}, {**OURS, "Sec-Fetch-Site": "cross-site"},
            {**OURS, "Sec-Fetch-Site": "same-site"}, {**OURS, "Origin": "http://evil.example"},
            {**OURS, "Origin": "null"},
            {**OURS, "Origin": f"http://localhost:{visitor.port + 1}"},
        ):
            for path in ("/command", "/login", "/logout"):
                self.assertEqual(visitor.ask("POST", path, stop, **headers)[0], 403, headers)
        for path in ROUTES:
            if path != "/stream":
                self.assertIn(visitor.ask("GET", f"{path}?command=stop")[0], (200, 404, 405))
                self.assertNotIn("Access-Control-Allow-Origin", visitor.given)
                self.assertIn("default-src 'none'", visitor.given["Content-Security-Policy"])
                self.assertNotIn("Server", visitor.given)
        self.assertIn(visitor.ask("OPTIONS", "/command", Origin="http://evil.example")[0], (404, 405))
        self.assertEqual(daemon.pids("web"), pids)

    def test_malformed(self) -> None:
        """What is no command is answered with what is wrong, and does no harm."""
        daemon = self.started()
        visitor, token = served(daemon)
        visitor.post("/login", {"token": token})
        for content in ("", "[]", "{", '"x"', "[" * 50_000, '{"command":7}', '{"command":"stop","arguments":[]}',
                        '{"command":"' + "x" * 70_000 + '"}', "\x00", '{"a":' * 40 + "1" + "}" * 40):
            try:
                status, _ = visitor.ask("POST", "/command", content, **OURS)
            except OSError:
                continue
            self.assertIn(status, (400, 413), content[:40])
        self.assertEqual(visitor.command("nonsense"), (404, "UnknownCommand"))
        self.assertEqual(visitor.command("stop", name=7), (400, "MessageError"))
        self.assertEqual(visitor.command("stop", name="nobody"), (404, "NotFound"))
        for path in ("/static/../server.py", "/static/%2e%2e/x", "/static//main.js", "/static/x/y/z"):
            self.assertEqual(visitor.ask("GET", path)[0], 404, path)
        self.assertEqual(len(daemon.pids("web")), 1)

    def test_secrets(self) -> None:
        """No answer to anybody holds the value of an environment or the hash of a password."""
        daemon = self.started()
        daemon.wait("#login=")
        port, token = linked(daemon.call("console", role="admin")["url"])
        admin, anybody = Visitor(port), Visitor(port)
        admin.post("/login", {"token": token})
        for visitor in (admin, anybody):
            said = str(visitor.hello()) + visitor.ask("GET", "/")[1] + visitor.ask("GET", "/table")[1]
            for command in ("status", "options", "config", "plan", "listsockets", "operation", "stats", "dstats"):
                said += str(visitor.command(command, name="web", detail=True))
            for secret in ("canary", "scrypt", token):
                self.assertNotIn(secret, said)
        self.assertEqual(anybody.command("options", name="web"), (403, "Denied"))
        self.assertEqual(anybody.command("config"), (403, "Denied"))


class PortTests(ConsoleTestCase):
    """Tests of where the console is."""

    def test_busy(self) -> None:
        """A port in use is told of once; the console comes as soon as it is free."""
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            daemon = self.started(INI.replace("httpd_port = 0", f"httpd_port = {port}"))
            self.assertIn("the console waits for it", daemon.wait(f"httpd_port {port}"))
            daemon.wait("web 1/1")
        self.assertEqual(linked(daemon.wait("#login="))[0], port)
        self.assertEqual(len([line for line in daemon.lines if "waits for it" in line]), 1)

    def test_prefix(self) -> None:
        """Behind a proxy the console has a path and another name, whether the proxy takes the path away or not."""
        daemon = self.started(INI.replace(
            "httpd_port = 0", "httpd_port = 0\nhttpd_prefix = /ops\nhttpd_allowed_hosts = shop.example.org"))
        visitor, token = served(daemon)
        visitor.headers = {"Host": "shop.example.org", "X-Forwarded-Proto": "https", "Origin": "https://shop.example.org"}
        self.assertEqual(visitor.post("/ops/login", {"token": token})[0], 200)
        self.assertIn("Path=/ops/", visitor.given["Set-Cookie"])
        self.assertIn("Secure", visitor.given["Set-Cookie"])
        for path in ("/ops", "/ops/", "/", "/ops/table"):
            status, page = visitor.ask("GET", path)
            self.assertEqual((status, "static/" in page, 'href="/' in page), (200, True, False), path)

    @skipIf(shutil.which("nginx") is None, "needs nginx")
    def test_nginx(self) -> None:
        """Behind nginx, under a path, pages come whole and the stream at once."""
        daemon = self.started(INI.replace("httpd_port = 0", "httpd_port = 0\nhttpd_prefix = /ops"))
        visitor, token = served(daemon)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (daemon.folder / "nginx.conf").write_text(NGINX % (port, visitor.port))
        nginx = subprocess.Popen(
            ["nginx", "-p", str(daemon.folder), "-c", "nginx.conf", "-g", "daemon off;"], stderr=subprocess.DEVNULL)
        self.addCleanup(nginx.wait)
        self.addCleanup(nginx.terminate)
        proxied = Visitor(port)
        until(lambda: proxied.answers("/ops/"))
        self.assertEqual(proxied.ask("POST", "/ops/login", {"token": token}, **OURS)[0], 200)
        self.assertIn("Path=/ops/", proxied.given["Set-Cookie"])
        self.assertEqual(proxied.hello("/ops/stream")["you"]["role"], "operator")

    def test_reload(self) -> None:
        """The console comes and goes with the configuration."""
        daemon = self.started(INI.replace("httpd = True", "httpd = False"))
        daemon.wait("web 1/1")
        self.assertRaises(ControlError, daemon.call, "console")
        daemon.ini.write_text(INI)
        daemon.call("reloadconfig", waiting=True)
        visitor, _ = served(daemon)
        self.assertEqual(visitor.command("ping")[0], 200)
        daemon.ini.write_text(INI.replace("httpd = True", "httpd = False"))
        daemon.call("reloadconfig", waiting=True)
        self.assertRaises(OSError, visitor.command, "ping")

    def test_unused(self) -> None:
        """A stack without a console does not load what serves one."""
        script = "import sys, circustwist.service, circustwist.tap; print('twisted.web.server' in sys.modules)"
        found = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=TIMEOUT, env={**os.environ})
        self.assertEqual(found.stdout, "False\n")

    def test_table(self) -> None:
        """Without scripts there is a table."""
        visitor, _ = served(self.started())
        status, page = visitor.ask("GET", "/table")
        self.assertEqual(status, 200)
        self.assertIn('<th scope="row">web</th><td>active</td><td>1/1</td>', page)
        self.assertNotIn("<script", page)
