"""Batches as parameters: an array for each column, in the server's binary form.

Of JSON, the server parses each text of a batch anew; of these it reads lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from struct import Struct
from typing import Any, ClassVar, Final

from psycopg.adapt import AdaptersMap, Dumper
from psycopg.pq import Format

_HEAD: Final = Struct("!iiiii").pack  # dimensions, flags, the element's type, elements, from which
_EMPTY: Final = Struct("!iii").pack
_LENGTH: Final = Struct("!i").pack
_NULL: Final = _LENGTH(-1)


class Array:
    """A column of a batch.  Where there is no value in it at all it travels empty: `unnest` fills
    up what is shorter than others with NULL."""

    __slots__ = ("values",)

    element: ClassVar[int]
    array: ClassVar[int]
    """The server's numbers of the type, and of its arrays."""

    write: ClassVar[Callable[..., bytes]]

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = values

    def written(self) -> bytes:
        """As the server reads it."""
        values, write = self.values, self.write
        missing = values.count(None)
        if missing == len(values):
            return _EMPTY(0, 0, self.element)
        head = _HEAD(1, 1, self.element, len(values), 1)
        if missing:
            parts = [_NULL if value is None else _sized(write(value)) for value in values]
            return head + b"".join(parts)
        texts = list(map(write, values))
        if len(set(map(len, texts))) == 1:
            size = _LENGTH(len(texts[0]))
            return head + size + size.join(texts)
        sizes = map(_LENGTH, map(len, texts))
        return head + b"".join(chain.from_iterable(zip(sizes, texts, strict=True)))


def _sized(text: bytes) -> bytes:
    return _LENGTH(len(text)) + text


class Texts(Array):
    """Of `text`."""

    element, array, write = 25, 1009, staticmethod(str.encode)


class Blobs(Array):
    """Of `bytea`."""

    element, array, write = 17, 1001, staticmethod(bytes)


class Integers(Array):
    """Of `integer`."""

    element, array, write = 23, 1007, staticmethod(_LENGTH)


class Bigints(Array):
    """Of `bigint`."""

    element, array, write = 20, 1016, staticmethod(Struct("!q").pack)


class Doubles(Array):
    """Of `double precision`."""

    element, array, write = 701, 1022, staticmethod(Struct("!d").pack)


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        return obj.written()


_DUMPERS: Final[dict[type[Array], type[_ArrayDumper]]] = {
    kind: type(f"{kind.__name__}Dumper", (_ArrayDumper,), {"oid": kind.array})
    for kind in (Texts, Blobs, Integers, Bigints, Doubles)
}


def know_arrays(adapters: AdaptersMap) -> None:
    """Let a connection send arrays."""
    for kind, dumper in _DUMPERS.items():
        adapters.register_dumper(kind, dumper)
