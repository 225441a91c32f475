"""Frozen values: nothing here reads a clock, does I/O or imports Twisted."""
