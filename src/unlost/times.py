"""Times as text: one moment has one text wherever it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from unlost.task import SECOND, Micros

LATEST: Micros = 253_402_300_800 * SECOND - 1
"""The last microsecond of the year 9999."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(at: Micros) -> str:
    """A moment as RFC 3339 has it, in UTC with `Z` and with microseconds."""
    seconds, micros = divmod(min(at, LATEST), SECOND)
    return f"{_whole(seconds)}.{micros:06d}Z"


@lru_cache(maxsize=512)  # each second brings another: what is of an older one is hardly wanted
def _whole(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]
