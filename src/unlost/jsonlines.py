"""Many JSON texts at once: what `jsontext` does with each, in a few calls for all.

Of short texts, a call for each of them costs more than their bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from unlost.jsontext import MAX_DEPTH, has_long_number, is_deeper, number

_read: Final = msgspec.json.Decoder(float_hook=number).decode_lines
_read_floats: Final = msgspec.json.Decoder().decode_lines
_encoder: Final = msgspec.json.Encoder()
_sorting: Final = msgspec.json.Encoder(order="sorted")


class Read(NamedTuple):
    """Texts that were read: in normal form, and as `written` makes of them what was sent."""

    trees: list[Any]
    plain: list[Any]


def parse_written(texts: Sequence[bytes], *, max_depth: int = MAX_DEPTH) -> Read | None:
    """Return what `jsontext.parse` gives of each of these texts, in less time; None if there is one
    for which it cannot tell, or that has a line break in it.

    As with `jsontext.parse_written`, what comes out the same when it is written again has been
    read without loss.
    """
    lines = b"\n".join(texts)
    if lines.count(b"\n") >= len(texts) or has_long_number(lines):
        return None
    longest = max(map(len, texts))
    if longest > 2 * max_depth and any(is_deeper(text, max_depth) for text in texts):
        return None  # each level takes two bytes, which end it
    try:
        trees = _read(lines)
        if len(trees) != len(texts):  # each ends its line: as many as there are lines are one each
            return None
        if _encoder.encode_lines(trees) == lines + b"\n":
            return Read(trees, trees)
        sent = msgspec.json.format(b"[" + b",".join(texts) + b"]", indent=-1)
        if _encoder.encode(trees) == sent:
            return Read(trees, trees)
        plain = _read_floats(lines)
        if _encoder.encode(plain) == sent:
            return Read(trees, plain)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    return None


def written(plain: Sequence[object]) -> list[str]:
    """Return of each what was sent, less white space (see `Read.plain`), or of parts of each."""
    return _encoder.encode_lines(plain).decode().split("\n")[:-1]


def canonical(trees: Sequence[object]) -> list[bytes]:
    """Return the canonical text of each tree in normal form (see `jsontext`)."""
    return _sorting.encode_lines(trees).split(b"\n")[:-1]
