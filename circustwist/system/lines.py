"""
From bytes to whole lines, and what is put before them.

Nothing here reads or writes: functions of bytes only.  Lines stay together in
a block, each with its newline, so that a hundred thousand of them cost hardly
more than one.
"""

from __future__ import annotations

from json.encoder import encode_basestring

from ..model.line import spelled

MAX_LINE = 65536
"""Bytes, without the newline, after which a line is cut."""


def cut(rest: bytes, data: bytes, most: int = MAX_LINE) -> tuple[bytes, bytes]:
    """
    The whole lines in what has come so far.  However the bytes were cut by
    reading, the lines are the same.

    @param rest: what the previous call left over.
    @param data: what has come since.
    @param most: bytes, without the newline, after which a line is cut.
    @return: the lines, each with its newline and none longer than that, and
        the beginning of the next one.
    """
    end = data.rfind(b"\n") + 1
    long = len(data) > most or len(rest) + data.find(b"\n") > most
    block, rest = (rest + data[:end], data[end:]) if end else (b"", rest + data)
    if end and long:
        block = b"".join([_broken(line + b"\n", most) for line in split(block)])
    if len(rest) > most:
        more = _broken(rest, most)
        begun = more.rfind(b"\n") + 1
        block, rest = block + more[:begun], more[begun:]
    return block, rest


def _broken(line: bytes, most: int) -> bytes:
    """A line, with or without its newline, with further ones wherever it is too long."""
    if len(line) <= most:
        return line
    body, end = (line[:-1], b"\n") if line.endswith(b"\n") else (line, b"")
    return b"\n".join([body[n:n + most] for n in range(0, len(body), most)]) + end


def split(block: bytes) -> list[bytes]:
    """The lines of a block, without their newlines."""
    return block[:-1].split(b"\n")


def joined(prefix: bytes, block: bytes, suffix: bytes = b"") -> bytes:
    """The lines of a block, each between these."""
    return prefix + block[:-1].replace(b"\n", suffix + b"\n" + prefix) + suffix + b"\n"


_SEPARATOR = "\x7f"
"""JSON leaves it as it is."""


def objects(head: str, block: bytes) -> bytes:
    """
    A JSON object for each line of a block.

    @param head: the beginning of each, up to the text of the line.
    """
    try:
        text = block[:-1].decode()
    except UnicodeDecodeError:
        text = _SEPARATOR
    if _SEPARATOR not in text:
        quoted = encode_basestring(text.replace("\n", _SEPARATOR))
        return f"{head}{quoted}}}\n".replace(_SEPARATOR, '"}\n' + head + '"').encode()
    return "".join([head + _spelled(line) + "}\n" for line in split(block)]).encode()


def _spelled(line: bytes) -> str:
    found = spelled(line)
    text = encode_basestring(found["text"])
    return f'{text},"raw":"{found["raw"]}"' if "raw" in found else text
