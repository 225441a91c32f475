"""Tests of regular expressions that strangers send."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from circustwist.logic.pattern import LONGEST, matcher

expressions = st.recursive(
    st.sampled_from(["a", "b", ".", "[ab]", "\\w", "^", "$", "(?=a)"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map("".join),
        st.tuples(inner, st.sampled_from(["*", "+?", "?", "{2,5}"])).map(lambda two: f"(?:{two[0]}){two[1]}"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})")),
    max_leaves=8)


class PatternTests(SynchronousTestCase):
    """What is taken, and what is not."""

    def test_usual(self) -> None:
        """What people write is taken, in any case of letters, and matches from the beginning."""
        for expression, text, is_ in (
            ("web.*|api", "web-1", True), ("WEB", "web", True), ("^(web|api)-[0-9]+$", "api-12", True),
            ("eb", "web", False), (r"\D+$", "web", True), (r"(?!web).*", "web", False), (".*-.*", "a-b", True),
            ("w{2,3}", "ww", True), ("(?P<a>x)?(?(a)y|z)", "z", True),
        ):
            self.assertEqual(matcher(expression, 64, 20)(text), is_, expression)

    def test_hostile(self) -> None:
        """What could take for ever is refused, however it is written."""
        for expression in (
            "(a+)+b", "(a|a)*b", "(a|aa)+$", "(.*)*x", ".*.*.*.*.*.*x", "((a{1,60}){1,60}){1,60}", "(a|a)" * 30,
            "a?" * 40, "(?:(?:a*)*)*", "(?=(a+)+b)", "(?>(a|a)*)b", "(x)?(?(1)(a+)+|(b+)+)c",
        ):
            error = self.assertRaises(ValueError, matcher, expression, 64, 1)
            self.assertIn("too long", str(error), expression)

    def test_many(self) -> None:
        """What is fine for a few may be too much for many."""
        self.assertTrue(matcher(".*x.*", 64, 20)("axb"))
        self.assertRaises(ValueError, matcher, ".*x.*", 64, 1000)

    def test_unreadable(self) -> None:
        """What is no regular expression is refused, and so is a very long one."""
        self.assertRaises(ValueError, matcher, "(", 64, 1)
        self.assertRaises(ValueError, matcher, "a{99999999999999999999}", 64, 1)
        self.assertRaises(ValueError, matcher, "a" * (LONGEST + 1), 64, 1)

    @given(expressions, st.text("ab", max_size=12))
    def test_same(self, expression: str, text: str) -> None:
        """What is taken matches as Python does."""
        try:
            found = matcher(expression, 12, 1)
        except ValueError:
            return
        self.assertEqual(found(text), re.match(expression, text) is not None)
