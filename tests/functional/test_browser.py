"""The console in a real browser: what it shows, what it does, and what hostile names and lines do not do."""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from .browser import MISSING, Browser
from .http import linked
from .stack import Daemon

EVIL = "<img src=x onerror=alert(1)>"
APP = """
import socket, sys
held = socket.socket(fileno=int(sys.argv[1]))
held.setblocking(True)
print('\\x1b[31mERROR\\x1b[0m <script>alert(2)</script> "><img src=x onerror=alert(3)>', flush=True)
while True:
    connection, _ = held.accept()
    connection.close()
    print('one more visitor', flush=True)
"""
INI = f"""
[circus]
name = shop
httpd = True
httpd_port = 0

[watcher:web]
cmd = python app.py $(circus.sockets.web)
numprocesses = 2
use_sockets = True
min_ready = 0.2

[watcher:job]
cmd = sleep 600
rlimit_nofile = 4096
max_memory = 500MB

[watcher:tree]
cmd = sh -c "sleep 600 & wait"

[watcher:broken]
cmd = no-such-program-{EVIL.replace(" ", "-")}
max_retry = 1

[watcher:{EVIL}]
cmd = sleep 600

[env:{EVIL}]
SECRET = canary-in-env
EVIL = {EVIL}

[socket:web]
host = 127.0.0.1
port = 0
"""
DEAF = """window.EventSource = class extends EventSource {
  addEventListener(kind, told) {
    let heard = 0;
    super.addEventListener(kind, kind === 'sample' ? (event) => { if (!heard++) told(event); } : told);
  }
};"""
PAINTED = """return [...document.querySelectorAll(arguments[0])].some((one) => {
  const blank = Object.assign(document.createElement('canvas'), { width: one.width, height: one.height });
  return one.toDataURL() !== blank.toDataURL();
});"""
PAGE = """<!DOCTYPE html><title>strange</title><iframe name=hidden></iframe><script>
const there = 'http://localhost:@PORT@/';
const stop = '{"command":"stop","arguments":{"name":"job","waiting":true}}';
const ours = { 'Content-Type': 'application/json', 'X-Circustwist': '1' };
const no = promise => promise.then(() => 'yes', () => 'no');
const form = document.createElement('form');
Object.assign(form, { method: 'POST', action: there + 'command', enctype: 'text/plain', target: 'hidden' });
const field = document.createElement('input');
Object.assign(field, { name: stop.slice(0, -1) + ',"x":"', value: '"}' });
form.append(field);
document.body.append(form);
form.submit();
fetch(there + 'command', { method: 'POST', mode: 'no-cors', credentials: 'include', body: stop });
window.tried = Promise.all([
  no(fetch(there, { credentials: 'include' })),
  no(fetch(there + 'stream', { credentials: 'include' })),
  no(fetch(there + 'command', { method: 'POST', credentials: 'include', headers: ours, body: stop })),
  no(new Promise((yes, not) => Object.assign(new Image(), { src: there + 'table', onload: yes, onerror: not }))),
  no(new Promise((yes, not) => {
    const source = new EventSource(there + 'stream', { withCredentials: true });
    source.onopen = yes;
    source.onerror = not;
  })),
  no(new Promise((yes, not) => {
    const script = document.createElement('script');
    Object.assign(script, { src: there + 'stream', onload: yes, onerror: not });
    document.body.append(script);
  })),
]);
</script>"""
AXE = os.environ.get("CIRCUSTWIST_AXE", "")
VIEWS = ("", "sockets", "logs", "events", "config", "daemon", "watcher/web")
WATCHERS = "main section table[class=data] tbody tr"


@contextmanager
def strangers(page: str) -> Iterator[int]:
    """Another site on this host; its port."""

    class Handler(BaseHTTPRequestHandler):
        """Answers everything with the page."""

        def do_GET(self) -> None:
            """The page."""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


@cache
def stage() -> tuple[Daemon, Browser]:
    """One stack and one browser for all tests: both take seconds to start.  They end with the tests' process."""
    daemon = Daemon(INI)
    (daemon.folder / "app.py").write_text(APP)
    daemon.start()
    atexit.register(daemon.stop)
    daemon.wait("#login=")
    browser = Browser()
    atexit.register(browser.close)
    return daemon, browser


@skipIf(MISSING, MISSING)
class BrowserTestCase(SynchronousTestCase):
    """Tests in a browser."""

    def setUp(self) -> None:
        """Each test begins logged in, at the overview."""
        self.daemon, self.browser = stage()
        port, token = linked(self.daemon.call("console", role="admin")["url"])
        self.browser.open("about:blank")
        self.browser.open(f"http://localhost:{port}/#login={token}")
        self.browser.shows("admin", ".tools")
        self.browser.shows("web", "main")

    def tearDown(self) -> None:
        """Nothing was complained of: no error, and nothing that the content security policy forbids."""
        self.assertEqual(self.browser.log(), [])
        self.assertFalse(self.browser.run("return Boolean(window.alerted)"))

    def go(self, view: str) -> None:
        """Show a view."""
        self.browser.run("location.hash = '#/' + arguments[0]", view)

    def ended(self, note: str) -> None:
        """Wait until the page says that something is done."""
        self.browser.shows(note, ".notes")


class ViewTests(BrowserTestCase):
    """Every view shows what is so."""

    def test_overview(self) -> None:
        """Problems come first; numbers come by themselves."""
        self.browser.until(lambda: len(self.browser.texts(WATCHERS)) >= 4)
        rows = self.browser.until(lambda: [
            row for row in self.browser.texts(WATCHERS) if "failed" in row and row.startswith("broken")])
        self.assertEqual(self.browser.texts(WATCHERS)[0], rows[0])
        self.assertIn("broken is failed", self.browser.text(".says"))
        self.browser.until(lambda: re.search(r"2 of 2\s+\d+\.\d %\s+\d+ MB", " ".join(self.browser.texts(WATCHERS))))
        self.assertIn("127.0.0.1:", self.browser.text("main"))

    def test_curves(self) -> None:
        """The small curves of a page that has just come begin with what was measured before."""
        self.browser.until(lambda: len(self.daemon.call("history", range=60)["times"]) > 3)
        made = self.browser.tell("Page.addScriptToEvaluateOnNewDocument", source=DEAF)
        self.addCleanup(self.browser.tell, "Page.removeScriptToEvaluateOnNewDocument", **made)
        self.browser.run("location.reload()")
        for where in (".stats canvas", f"{WATCHERS} td[data-column=cpu] canvas"):
            self.browser.until(lambda where=where: self.browser.run(PAINTED, where))

    def test_live(self) -> None:
        """What changes elsewhere is shown within a second or so, without a reload of the page."""
        self.go("watcher/job")
        self.browser.shows("1 of 1", ".wanted")
        self.daemon.call("incr", name="job", waiting=True)
        self.browser.shows("2 of 2", ".wanted")
        pid = str(self.daemon.pids("job")[-1])
        self.browser.shows(pid, "main table")
        self.daemon.call("decr", name="job", waiting=True)
        self.browser.shows("1 of 1", ".wanted")

    def test_killed(self) -> None:
        """A worker that is killed is seen to end and to come back, on the page as it is."""
        self.go("watcher/web")
        before = self.daemon.pids("web")
        self.browser.shows(str(before[0]), "main table")
        self.browser.run("window.same = true")
        os.kill(before[0], signal.SIGKILL)
        self.browser.shows(f"(pid {before[0]}) killed by SIGKILL", "main .events")
        self.browser.until(lambda: str(before[0]) not in self.browser.text("main table"))
        self.daemon.until(lambda: len(self.daemon.pids("web")) == len(before))
        for pid in self.daemon.pids("web"):
            self.browser.shows(str(pid), "main table")
        self.assertTrue(self.browser.run("return window.same"))

    def test_limits(self) -> None:
        """The limits that are set, as people read them; none where there are none."""
        self.go("watcher/job")
        self.browser.shows("4\u202f096", "main .facts-list")
        self.assertIn("500 MB", self.browser.text("main .facts-list"))
        self.go("watcher/tree")
        self.browser.shows("tree", "main h1")
        self.assertEqual(self.browser.text("main .facts-list"), "")

    def test_children(self) -> None:
        """The processes that a worker has started."""
        self.go("watcher/tree")
        self.browser.click("td[data-column=children] button", "1")
        self.browser.shows("↳ sleep", "dialog")
        self.browser.press("Escape")

    def test_sockets(self) -> None:
        """A socket's address, queue and holders."""
        self.go("sockets")
        port = self.daemon.port()
        self.browser.shows(f"127.0.0.1:{port}", "main table")
        self.browser.shows("0 of 2", "main table")
        self.assertIn("web", self.browser.text("main tbody td.wide"))
        self.browser.click(".chart button", "As table")
        self.browser.shows("Time", ".twin")

    def test_logs(self) -> None:
        """Lines come as they are written; a search hides others; colours are colours, and markup is text."""
        self.go("logs")
        self.browser.shows('<script>alert(2)</script> "><img', ".log")
        self.assertNotIn("\x1b", self.browser.text(".log"))
        socket.create_connection(("127.0.0.1", self.daemon.port())).close()
        self.browser.shows("one more visitor", ".log")
        self.browser.press("/")
        self.browser.type("visitor")
        self.browser.until(lambda: "script" not in self.browser.text(".log"))
        self.browser.press("Escape")
        self.assertIn("q=visitor", self.browser.run("return location.hash"))

    def test_events(self) -> None:
        """What has happened, and who asked for it."""
        self.daemon.call("restart", name="job", waiting=True)
        self.go("events?of=job")
        self.browser.shows("restart done", ".events")
        self.assertIn("uid", self.browser.text(".events"))
        self.assertNotIn("web/1", self.browser.text(".events"))

    def test_config(self) -> None:
        """Every option with its line; what is on disk is compared; no secret is shown."""
        self.go("config")
        self.browser.shows("stack.ini:9", ".config")
        self.assertIn("***", self.browser.text(".config"))
        self.assertNotIn("canary", self.browser.run("return document.documentElement.innerHTML"))
        self.assertNotIn("graceful_timeout", self.browser.text(".config"))
        self.daemon.ini.write_text(INI.replace("[watcher:job]\ncmd = sleep 600", "[watcher:job]\ncmd = sleep 601"))
        self.addCleanup(self.daemon.ini.write_text, INI)
        self.browser.click("button", "Check again")
        self.browser.shows("sleep 601", ".plan")

    def test_daemon(self) -> None:
        """The supervisor itself."""
        self.go("daemon")
        self.browser.shows(str(self.daemon.process.pid), ".facts-list")
        self.browser.until(lambda: re.search(r"Memory\s+\d+ MB", self.browser.text(".facts-list")))
        self.browser.shows("link of", ".view tbody")
        self.assertIn("console", self.browser.texts(".view tbody td"))
        self.browser.shows("broken has failed", ".view .plan")
        self.assertIn("broken: broken/1 could not be started", self.browser.text(".view .plan"))

    def test_back(self) -> None:
        """The browser's way back leads back, and an address shows its view."""
        self.browser.click("tbody tr[data-id=web]")
        self.browser.shows("Workers", "main")
        self.browser.run("history.back()")
        self.browser.until(lambda: self.browser.text(".says"))
        self.go("watcher/web?range=15m")
        self.browser.until(lambda: self.browser.run(
            "return document.querySelector('[data-range=\"15m\"]')?.getAttribute('aria-pressed') === 'true'"))

    def test_lost(self) -> None:
        """A page whose supervisor is gone says so, and comes back by itself."""
        self.daemon.kill()
        self.browser.shows("does not answer", ".stale")
        self.daemon.start()
        self.daemon.wait("#login=")
        self.browser.log()


class ActionTests(BrowserTestCase):
    """What is done is what the dialogs say."""

    def dialog(self, *texts: str) -> None:
        """A dialog says this; go on."""
        for text in texts:
            self.browser.shows(text, "dialog")
        self.browser.click("dialog button[type=submit]")

    def test_stopStart(self) -> None:
        """Stop and start, of which the dialog tells the effect; nothing happens when it is called off."""
        self.go("watcher/web")
        self.browser.click("header [data-action=stop]")
        self.browser.shows("2 workers of web", "dialog")
        self.browser.click("dialog button", "Cancel")
        self.assertEqual(len(self.daemon.pids("web")), 2)
        self.browser.click("header [data-action=stop]")
        self.dialog("Stops 2 workers of web", "1 socket (web) stay open")
        self.ended("web has stopped.")
        self.assertEqual(self.daemon.pids("web"), [])
        self.browser.click("header [data-action=start]")
        self.dialog("Starts 2 workers of web")
        self.ended("web has started.")
        self.assertEqual(len(self.daemon.pids("web")), 2)

    def test_reload(self) -> None:
        """A reload shows its progress and replaces every worker."""
        before = self.daemon.pids("web")
        self.go("watcher/web")
        self.browser.click("header [data-action=reload]")
        self.dialog("each only after a new one has proved itself")
        self.browser.shows("Reloading web", ".operations")
        self.ended("web has been reloaded.")
        self.assertFalse(set(before) & set(self.daemon.pids("web")))

    def test_scale(self) -> None:
        """One worker more, and undone again."""
        self.go("watcher/job")
        self.browser.shows("1 of 1", ".wanted")
        self.browser.press("+")
        self.ended("job: 2 workers instead of 1.")
        self.assertEqual(len(self.daemon.pids("job")), 2)
        self.browser.click(".note button", "Undo")
        self.ended("job: 1 worker instead of 2.")
        self.assertEqual(len(self.daemon.pids("job")), 1)

    def test_kill(self) -> None:
        """One worker is killed, and another takes its place."""
        (before,) = self.daemon.pids("job")
        self.go("watcher/job")
        self.browser.click("tbody button.danger")
        self.dialog("Kills job/1 at once")
        self.browser.until(lambda: self.daemon.pids("job") not in ([before], []))

    def test_keys(self) -> None:
        """Everything can be reached by keys."""
        self.browser.press("/")
        self.browser.type("job")
        self.browser.press("Escape", "j", "t")
        self.dialog("Stops 1 worker of job")
        self.ended("job has stopped.")
        self.browser.press("s")
        self.dialog("Starts 1 worker of job")
        self.ended("job has started.")
        self.browser.press("Enter")
        self.browser.shows("Workers", "main")
        self.browser.press("g", "s")
        self.browser.until(lambda: self.browser.run("return location.hash").startswith("#/sockets"))
        self.browser.press("?")
        self.browser.shows("this help", "dialog")
        self.browser.press("Escape")
        self.browser.press("Escape")
        self.browser.until(lambda: self.browser.run("return location.hash") == "#/")

    def test_several(self) -> None:
        """Several watchers at once; to stop all of them the stack's name must be typed."""
        self.browser.run("for (const box of document.querySelectorAll('tbody input[type=checkbox]')) box.click()")
        self.browser.click(".bulk [data-action=stop]")
        self.browser.shows("Type shop to go on", "dialog")
        self.assertTrue(self.browser.run("return document.querySelector('dialog [type=submit]').disabled"))
        self.browser.type("shop")
        self.assertFalse(self.browser.run("return document.querySelector('dialog [type=submit]').disabled"))
        self.browser.press("Escape")
        self.assertEqual(len(self.daemon.pids("job")), 1)

    def test_apply(self) -> None:
        """What the files say is put in force."""
        self.daemon.ini.write_text(INI.replace("[watcher:job]", "[watcher:more]\ncmd = sleep 600\n\n[watcher:job]"))
        self.go("config")
        self.browser.shows("watcher more", ".plan")
        self.browser.click("button", "Apply")
        self.dialog("1 change: add more")
        self.ended("The configuration has been applied.")
        self.assertEqual(len(self.daemon.pids("more")), 1)
        self.daemon.ini.write_text(INI)
        self.daemon.call("reloadconfig", waiting=True)


class CareTests(BrowserTestCase):
    """For everybody, on every screen, and against those who mean harm."""

    def test_evil(self) -> None:
        """Names and lines full of markup are text, in every view."""
        self.browser.run("window.alert = () => { window.alerted = true; }")
        for view in (*VIEWS, "watcher/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", "watcher/<script>alert(4)</script>",
                     'logs?q=<img src=x onerror=alert(5)>&of="><script>'):
            self.go(view)
            self.browser.until(lambda: self.browser.text("main"))
            self.assertEqual(self.browser.run("return document.querySelectorAll('main img, main script').length"), 0)
        self.browser.run("location.hash = '#/'")
        self.browser.shows(EVIL, "main")

    def test_otherSites(self) -> None:
        """A page of another site, even under a name that leads here, can neither read nor change anything."""
        port = self.browser.run("return location.port")
        with strangers(PAGE.replace("@PORT@", port)) as theirs:
            for host in (f"127.0.0.1:{theirs}", f"evil.example:{theirs}"):
                self.browser.open(f"http://{host}/")
                self.assertEqual(self.browser.later("tried.then(arguments[0])"), ["no"] * 6, host)
        self.browser.open(f"http://evil.example:{port}/")
        self.browser.shows("is no name of this host")
        self.assertEqual(self.browser.later(
            "const done = arguments[0]; fetch('command', { method: 'POST', body: '{\"command\":\"status\"}',"
            "headers: { 'Content-Type': 'application/json', 'X-Circustwist': '1' } }).then(r => done(r.status))"), 421)
        self.assertEqual(len(self.daemon.pids("job")), 1)
        self.browser.log()

    def test_small(self) -> None:
        """Nothing is wider than a screen of 320 pixels but what scrolls by itself."""
        self.browser.size(320, 640)
        self.addCleanup(self.browser.size, 1280, 860)
        for view in VIEWS:
            self.go(view)
            self.browser.until(lambda: self.browser.text("main"))
            self.assertLessEqual(self.browser.run("return document.documentElement.scrollWidth"), 320, view)

    @skipIf(not AXE, "needs axe-core: CIRCUSTWIST_AXE names its axe.min.js")
    def test_accessible(self) -> None:
        """axe-core finds nothing in any view, in light and in dark, nor in a dialog."""
        script = Path(AXE).read_text()
        found = []
        for colours in ("light", "dark"):
            self.browser.scheme(colours)
            for view in (*VIEWS, "dialog"):
                if view == "dialog":
                    self.go("watcher/web")
                    self.browser.click("header [data-action=stop]")
                else:
                    self.go(view)
                self.browser.until(lambda: self.browser.text("main"))
                self.browser.run(f"if (!window.axe) {{ {script} }}")
                problems = self.browser.later(
                    "const done = arguments[0];"
                    "axe.run(document, { resultTypes: ['violations'] }).then(r => done(r.violations.map(v =>"
                    "`${v.id}: ${v.nodes.map(n => n.html.slice(0, 200)).slice(0, 3).join(' ')}`)))")
                found += [f"{view} {colours} {problem}" for problem in problems]
            self.browser.press("Escape")
        self.browser.scheme("light")
        self.assertEqual(found, [])

    def test_names(self) -> None:
        """Every control has a name, tables have heads, and states are told in words too."""
        for view in VIEWS:
            self.go(view)
            self.browser.until(lambda: self.browser.text("main"))
            self.assertEqual(self.browser.run(
                "return [...document.querySelectorAll('button, a, input, select')].filter(e => e.checkVisibility() &&"
                "!(e.innerText || e.ariaLabel || e.labels?.[0]?.innerText)).map(e => e.outerHTML)"), [], view)
            self.assertEqual(self.browser.run(
                "return [...document.querySelectorAll('.badge')].filter(e => !e.innerText.trim()).length"), 0, view)
