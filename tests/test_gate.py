"""Tests of who is let through to the console."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from circustwist.web.gate import admitted, changeable, hostName


class HostTests(SynchronousTestCase):
    """Tests of the names by which the console may be reached."""

    def test_own(self) -> None:
        """The names of the loopback interface are good with any port, and so are those that are configured."""
        for host in ("localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "ops.example.org",
                     "Ops.Example.org:443"):
            self.assertTrue(admitted(host, ("ops.Example.org",)), host)

    def test_others(self) -> None:
        """Whatever only looks like one of them is not."""
        for host in ("", "evil.example", "localhost.evil.example", "localhost.", "localhost:8080.evil.example",
                     "localhost:", "localhost:x", "127.0.0.1.evil.example", "127.1", "::1", "[::1", "a b", "[::2]",
                     "localhost\n", "evil.example:8080", "xops.example.org", "user@localhost", "localhost:999999"):
            self.assertFalse(admitted(host, ("ops.example.org",)), host)
        self.assertEqual(hostName("a/b"), "")


class ChangeTests(SynchronousTestCase):
    """Tests of which requests may change something."""

    def problem(self, **headers: str) -> str:
        """Why a request with these headers may not; what is not given is as a script would send it."""
        every = {"Content-Type": "application/json", "X-Circustwist": "1", "Host": "localhost:8080",
                 **{name.replace("_", "-"): value for name, value in headers.items()}}
        return changeable(lambda name: every.get(name, ""))

    def test_good(self) -> None:
        """A script, and our own page in a new browser, in an old one, and behind a proxy with TLS."""
        self.assertEqual(self.problem(), "")
        self.assertEqual(self.problem(Content_Type="application/json; charset=utf-8"), "")
        self.assertEqual(self.problem(Sec_Fetch_Site="same-origin", Origin="http://localhost:8080"), "")
        self.assertEqual(self.problem(Origin="http://localhost:8080"), "")
        self.assertEqual(self.problem(Origin="https://ops.example.org", Host="ops.example.org"), "")
        self.assertEqual(self.problem(Origin="https://ops.example.org:443", Host="Ops.example.org"), "")

    def test_bad(self) -> None:
        """Another site, another port of this host, a form, and a page without an origin."""
        for site in ("cross-site", "same-site", "none", "x"):
            self.assertIn("another site", self.problem(Sec_Fetch_Site=site, Origin="http://localhost:8080"))
        for origin in ("http://localhost:8081", "http://evil.example", "null", "http://localhost:8080.evil.example",
                       "file://", "http://localhost"):
            self.assertIn("another site", self.problem(Origin=origin), origin)
        self.assertIn("application/json", self.problem(Content_Type="text/plain"))
        self.assertIn("application/json", self.problem(Content_Type=""))
        self.assertIn("X-Circustwist", self.problem(X_Circustwist=""))
