"""Percent-encoding, read strictly."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


def decode(part: bytes) -> str | None:
    """A part of a path or query without its percent-encoding; None if that is broken."""
    if b"%" in part and _broken(part):
        return None
    try:
        return unquote_to_bytes(part).decode()
    except UnicodeDecodeError:
        return None


def _broken(part: bytes) -> bool:
    digits = b"0123456789abcdefABCDEF"
    return any(
        len(escape) < 2 or escape[0] not in digits or escape[1] not in digits
        for escape in part.split(b"%")[1:]
    )
