"""Counting repeats of any number of keys: in memory while they are few, else on disk."""

from __future__ import annotations

import apsw

_COUNT = """
INSERT INTO seen VALUES (?, 0) ON CONFLICT (key) DO UPDATE SET above = above + 1 RETURNING above
"""


class Repeats:
    """Says how often it was asked about a key before."""

    def __init__(self) -> None:
        # A database without a name is private and gone with its connection; what outgrows its
        # cache goes to a temporary file.
        self._seen = apsw.Connection("")
        self._seen.pragma("journal_mode", "OFF")
        self._seen.pragma("cache_size", -65536)
        self._seen.execute(
            "CREATE TABLE seen (key BLOB PRIMARY KEY, above INTEGER) WITHOUT ROWID; BEGIN"
        )

    def __call__(self, key: bytes, /) -> int:
        return int(self._seen.execute(_COUNT, (key,)).get)
