"""The catalogue itself: every row has one test, or says why it has none."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from .rows import MISSING, identifiers, rows


class RowTests(SynchronousTestCase):
    """The table."""

    def test_complete(self) -> None:
        """Every row of the catalogue is declared once, with a fault and with what is expected."""
        self.assertEqual(len(identifiers()), 102)
        self.assertEqual(sorted([*(row.id for row in rows()), *MISSING]), sorted(identifiers()))
        for row in rows():
            self.assertTrue(row.fault and row.expected, row)


class MissingTests(SynchronousTestCase):
    """One visible skip for each row without a test."""


for _id, _why in MISSING.items():
    def _missing(self: MissingTests) -> None:
        """It has no test."""

    _missing.skip = _why  # type: ignore[attr-defined]
    setattr(MissingTests, f"test_{_id}", _missing)
