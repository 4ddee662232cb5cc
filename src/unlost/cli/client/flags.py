"""What a service refuses, told by the flags that a person typed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from unlost.cli.client.connection import Refused

_NAMED = {
    "forget": "--forget, --forget-all or --keep-steps",
    "graceSeconds": "--grace",
    "timeoutSeconds": "--timeout",
}
"""Flags that are not named as the member is."""


@contextmanager
def by_flags() -> Iterator[None]:
    """Name flags where a refusal points to members of the body."""
    try:
        yield
    except Refused as refusal:
        told = re.sub(r"#/([A-Za-z]+)", _flag, str(refusal))
        raise Refused(told, refusal.status, refusal.retry_after) from refusal


def _flag(pointer: re.Match[str]) -> str:
    member = pointer[1]
    kebab = re.sub(r"(?<=[a-z])[A-Z]", lambda big: f"-{big[0].lower()}", member)
    return _NAMED.get(member, f"--{kebab}")
