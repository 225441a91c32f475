"""
The files of the console: read once, compressed once, and never asked for twice.

They lie under a folder that is named by the hash of all of them, so that a
browser may keep them for ever and modules find each other by relative names.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from importlib import resources

import attrs

_KINDS = {"js": b"text/javascript; charset=utf-8", "css": b"text/css; charset=utf-8", "svg": b"image/svg+xml"}
PAGE = "index.html"


@attrs.frozen
class Asset:
    """
    One file.

    @ivar kind: its content type.
    @ivar packed: the same, compressed with gzip.
    """

    kind: bytes
    content: bytes
    packed: bytes


@attrs.frozen
class Assets:
    """
    All files.

    @ivar version: the hash of all.
    @ivar page: the page that loads the rest, to be filled in.
    """

    version: str
    page: str
    files: Mapping[str, Asset]

    @classmethod
    def load(cls) -> Assets:
        """Read them from the package."""
        folder = resources.files("circustwist.web") / "static"
        read = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        every = b"".join(name.encode() + b"\0" + read[name] for name in sorted(read))
        page = read.pop(PAGE).decode("utf-8")
        files = {
            name: Asset(_KINDS[kind], content, gzip.compress(content, 9, mtime=0))
            for name, content in read.items() if (kind := name.rpartition(".")[2]) in _KINDS}
        return cls(hashlib.sha256(every).hexdigest()[:16], page, files)
