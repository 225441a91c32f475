"""Tests of the converters from text to values."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.model import values
from circustwist.model.option import options
from circustwist.model.settings import Settings
from circustwist.model.stack import Socket, Watcher

quick = settings(deadline=None, max_examples=100)
CONVERTERS = [option.convert for cls in (Settings, Socket, Watcher) for _, option, _ in options(cls)]
likely = st.text(max_size=20) | st.from_regex(r"-?[0-9]{1,12}(\.[0-9]{0,3})?(ms|s|kb|MB|h)?", fullmatch=True)


class ConverterTests(SynchronousTestCase):
    """Tests of each converter."""

    def assertConverts(self, convert: Callable[[str], Any], table: dict[str, Any]) -> None:
        """Each text becomes its value."""
        for text, value in table.items():
            self.assertEqual(convert(text), value, text)

    def assertRefuses(self, convert: Callable[[str], Any], *texts: str) -> None:
        """Each text is refused with the rest of a sentence."""
        for text in texts:
            error = self.assertRaises(ValueError, convert, text)
            self.assertRegex(str(error), r"\A(is|has) ", text)

    def test_text(self) -> None:
        """Text stays as it is."""
        self.assertConverts(values.text, {"": "", " a ": " a "})

    def test_boolean(self) -> None:
        """Eight words are booleans, in any case."""
        self.assertConverts(values.boolean, {"yes": True, "TRUE": True, " on ": True, "1": True})
        self.assertConverts(values.boolean, {"no": False, "False": False, "OFF": False, "0": False})
        self.assertRefuses(values.boolean, "", "2", "ja", "y")

    def test_whole(self) -> None:
        """A whole number has no fraction, and may be negative."""
        self.assertConverts(values.whole, {"5": 5, "-3": -3, " 7 ": 7})
        self.assertRefuses(values.whole, "five", "1.5", "", "1 2", "9" * 5000)

    def test_natural(self) -> None:
        """A natural number is 0 at least."""
        self.assertConverts(values.natural, {"0": 0, "12": 12})
        self.assertRefuses(values.natural, "-1", "x")

    def test_count(self) -> None:
        """There can be 0 to 100,000 processes."""
        self.assertConverts(values.count, {"0": 0, "100000": 100_000})
        self.assertRefuses(values.count, "100001", "-1")

    def test_retries(self) -> None:
        """-1 means for ever; what is less means nothing."""
        self.assertConverts(values.retries, {"-1": -1, "5": 5})
        self.assertRefuses(values.retries, "-2")

    def test_port(self) -> None:
        """A port has 16 bits."""
        self.assertConverts(values.port, {"0": 0, "65535": 65535})
        self.assertRefuses(values.port, "65536", "-1", "http")

    def test_seconds(self) -> None:
        """A duration is in seconds, or says its unit."""
        self.assertConverts(values.seconds, {
            "30": 30.0, "0.5": 0.5, ".5": 0.5, "500ms": 0.5, "2m": 120.0, "1 h": 3600.0, "1D": 86400.0, "-0": 0.0})
        self.assertRefuses(values.seconds, "", "-1", "5 years", "inf", "nan", "9" * 400, "1e3")

    def test_size(self) -> None:
        """A size is in bytes, or says by which power of 1024."""
        self.assertConverts(values.size, {
            "0": 0, "1048576": 2**20, "5b": 5, "1k": 1024, "1.5 KiB": 1536, "10MB": 10 * 2**20, "2g": 2**31,
            "1T": 2**40})
        self.assertRefuses(values.size, "", "-1", "big", "1 x")

    def test_octal(self) -> None:
        """Permission bits are in octal."""
        self.assertConverts(values.octal, {"022": 0o22, "7777": 0o7777, "0": 0})
        self.assertRefuses(values.octal, "9", "10000", "-1", "rwx")

    def test_signum(self) -> None:
        """A signal is given by number or name, in any case, with or without SIG."""
        self.assertConverts(values.signum, {
            "15": 15, "QUIT": 3, "sigquit": 3, "quit": 3, "SIGRTMIN+1": int(signal.SIGRTMIN) + 1})
        self.assertRefuses(values.signum, "99", "0", "NOTHING", "", "SIGRTMIN+x", "SIG_DFL", "RTMAX+1")

    def test_signalName(self) -> None:
        """A signal has its POSIX name."""
        self.assertConverts(lambda text: values.signalName(int(text)), {
            "9": "SIGKILL", str(int(signal.SIGRTMIN) + 2): "SIGRTMIN+2", "0": "signal 0"})

    def test_limit(self) -> None:
        """A limit is a number, or nothing for none."""
        self.assertConverts(values.limit, {"": None, "infinity": None, "-1": None, "1024": 1024, "0": 0})
        self.assertRefuses(values.limit, "-2", "many")

    def test_respawn(self) -> None:
        """A process is started again always, never, or when it failed."""
        self.assertConverts(values.respawn, {
            "True": "always", "0": "never", "on-failure": "on-failure", "ON_FAILURE": "on-failure", "never": "never"})
        self.assertRefuses(values.respawn, "sometimes", "")

    def test_exitCodes(self) -> None:
        """Exit codes stay as they are, signals become negative."""
        self.assertConverts(values.exitCodes, {"0 3 SIGTERM": (0, 3, -15), "1,2": (1, 2), "": ()})
        self.assertRefuses(values.exitCodes, "256", "0 never")

    def test_words(self) -> None:
        """Names are parted by blanks or commas."""
        self.assertConverts(values.words, {"a b,c": ("a", "b", "c"), "": ()})

    def test_probe(self) -> None:
        """A look is a word, an address, a command or a regular expression."""
        for text in (
            "", "listening", "after", "notify", "http://127.0.0.1:8000/health?a=1", "http://localhost",
            "http://[::1]:8000/", "tcp://127.0.0.1:6379", "exec:pg_isready -h '/run/my db'", "log:ready to .*accept$",
            "http://127.0.0.1:$(circus.env.port)/", "tcp://((circus.env.host)):80$WID", "log:^port (\\d+)",
        ):
            self.assertConverts(values.probe, {text: text, f" {text} ": text})
        self.assertConverts(values.probe, {"Listening": "listening", "HTTP://Host/A": "http://Host/A"})
        self.assertRefuses(
            values.probe, "ready", "listening:", "http", "http:/x", "http://", "http://h:0/", "http://h:65536/",
            "http://h:x/", "http://a b/", "http://u:p@h/", "http://h/a\r\nb", "tcp://h", "tcp://h:1/x", "tcp://:1",
            "ftp://h:1", "exec:", "exec: ", "exec:'x", "log:", "log:(", "log:" + "x" * 201, "log:a{99999999999}",
        )

    def test_probeHttps(self) -> None:
        """That no look speaks TLS is said in words."""
        error = self.assertRaises(ValueError, values.probe, "https://127.0.0.1/")
        self.assertRegex(str(error), "is https, which no look can speak; e.g. http://")

    def test_oneOf(self) -> None:
        """One of some words is taken in any case."""
        self.assertConverts(values.oneOf("mixed", "process"), {"MIXED": "mixed", " process ": "process"})
        self.assertRefuses(values.oneOf("mixed"), "", "all")

    def test_name(self) -> None:
        """A name has 1 to 64 printable characters and no slash."""
        self.assertConverts(values.name, {"web": "web", "büro 1": "büro 1", "x" * 64: "x" * 64})
        self.assertRefuses(values.name, "", " ", "a/b", "x" * 65, "a\n", "a\x00", "a\u200b")


class TableTests(SynchronousTestCase):
    """Tests of what holds for every option."""

    def test_examples(self) -> None:
        """What the table gives as an example can be converted."""
        for cls in (Settings, Socket, Watcher):
            for _, option, _ in options(cls):
                if option.example:
                    option.convert(option.example)

    @quick
    @given(likely)
    def test_onlyValueError(self, text: str) -> None:
        """A converter gives a value or raises ValueError, whatever the text."""
        for convert in CONVERTERS:
            try:
                convert(text)
            except ValueError as error:
                self.assertTrue(str(error))

    @quick
    @given(st.integers(0, 10**9))
    def test_wholeSeconds(self, number: int) -> None:
        """A plain number of seconds is that number."""
        self.assertEqual(values.seconds(str(number)), float(number))

    @quick
    @given(st.integers(0, 2**50))
    def test_wholeSizes(self, number: int) -> None:
        """A plain size is that number of bytes."""
        self.assertEqual(values.size(str(number)), number)

    @quick
    @given(st.sampled_from(sorted(signal.valid_signals())))
    def test_signalNames(self, number: int) -> None:
        """The name of every signal stands for that signal."""
        self.assertEqual(values.signum(values.signalName(number)), number)

    @quick
    @given(st.integers(0, 0o7777))
    def test_octals(self, bits: int) -> None:
        """Bits survive being written in octal."""
        self.assertEqual(values.octal(f"{bits:o}"), bits)
