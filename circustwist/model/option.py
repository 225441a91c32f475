"""
An option of the ini: how it is declared as a field of a class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import attrs

from . import values

Live: TypeAlias = Literal["now", "reload", "restart"]
"""When a changed option takes effect: at once, for new workers, or at the next start."""


@attrs.frozen
class Option:
    """
    What is known of one option.

    @ivar convert: from the text in the file to the value; see L{values}.
    @ivar doc: one or two sentences for the reference and for C{help}.
    @ivar live: when a change of it takes effect.
    @ivar unit: of a number: C{s}, C{B}, or nothing.
    @ivar example: what a reader could write.
    """

    convert: values.Converter
    doc: str
    live: Live = "reload"
    unit: str = ""
    example: str = ""


def option(
    convert: values.Converter, default: Any, doc: str, *, live: Live = "reload", unit: str = "", example: str = ""
) -> Any:
    """A field with an L{Option} in its metadata."""
    return attrs.field(default=default, metadata={"option": Option(convert, doc, live, unit, example)})


def options(cls: type) -> Iterator[tuple[str, Option, Any]]:
    """
    The options that a class of this module declares.

    @return: name, option and default of each, in the order of the reference.
    """
    for field in attrs.fields(cls):
        if "option" in field.metadata:
            yield field.name, field.metadata["option"], field.default
