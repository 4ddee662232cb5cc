"""What a check of `unlost doctor` found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Health(StrEnum):
    """How good a finding is; only FAIL keeps `unlost serve` from working."""

    OK = "ok"
    NOTE = "note"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True):
    """One check and what it found."""

    check: str
    health: Health
    detail: str


def ok(check: str, detail: str) -> Finding:
    """All is well."""
    return Finding(check, Health.OK, detail)


def note(check: str, detail: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(check, Health.NOTE, detail)


def fail(check: str, detail: str) -> Finding:
    """It would not work."""
    return Finding(check, Health.FAIL, detail)
