"""Many JSON texts at once: what `jsontext` does with each, in a few calls for all.

Of short texts, a call for each of them costs more than their bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from unlost.jsontext import MAX_DEPTH, has_long_number, is_deeper, number

_encoder: Final = msgspec.json.Encoder()
_sorting: Final = msgspec.json.Encoder(order="sorted")


class Read(NamedTuple):
    """Texts that were read: in normal form, and as `written` makes of them what was sent."""

    trees: list[Any]
    plain: list[Any]


@lru_cache(maxsize=100)
def _reading(kind: Any) -> tuple[Callable[[bytes], list[Any]], Callable[[bytes], list[Any]]]:
    """What reads lines of a kind with numbers in normal form, and with floats."""
    exact, floats = msgspec.json.Decoder(kind, float_hook=number), msgspec.json.Decoder(kind)
    return exact.decode_lines, floats.decode_lines


def parse_written(
    texts: Sequence[bytes], *, max_depth: int = MAX_DEPTH, kind: Any = Any
) -> Read | None:
    """Return what `jsontext.parse` gives of each of these texts, in less time; None if there is one
    for which it cannot tell, or that has a line break in it.

    With `kind`, a Struct that takes no other members, it gives one for each object; None if there
    is anything else, or an object with its members in another order.

    As with `jsontext.parse_written`, what comes out the same when it is written again has been
    read without loss.
    """
    lines = b"\n".join(texts)
    if lines.count(b"\n") >= len(texts) or has_long_number(lines):
        return None
    longest = max(map(len, texts))
    if longest > 2 * max_depth and any(is_deeper(text, max_depth) for text in texts):
        return None  # each level takes two bytes, which end it
    read, read_floats = _reading(kind)
    try:
        trees = read(lines)
        if len(trees) != len(texts):  # each ends its line: as many as there are lines are one each
            return None
        spaced = b'": ' in texts[0]  # no more than a guess: what follows finds it as well
        if not spaced and _encoder.encode_lines(trees) == lines + b"\n":
            return Read(trees, trees)
        sent = msgspec.json.format(b"[" + b",".join(texts) + b"]", indent=-1)
        if _encoder.encode(trees) == sent:
            return Read(trees, trees)
        plain = read_floats(lines)
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
