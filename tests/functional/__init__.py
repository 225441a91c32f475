"""Tests with real processes, sockets and peers."""
