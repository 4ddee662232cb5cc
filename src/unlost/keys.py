"""API keys: what they allow, and how a home's store of them is asked.

A key is known by its hash alone, so that whoever reads the store cannot use what is in it.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from unlost.task import Micros

SECRET_BYTES: Final = 32

_PREFIX: Final = "unlost_"


class KeyScope(StrEnum):
    """What a key allows: to submit tasks, to read, to act on tasks and on types of them."""

    SUBMIT = "submit"
    READ = "read"
    OPERATE = "operate"


class Key(msgspec.Struct, frozen=True):
    """A key that was given out, without the key itself."""

    name: str
    scopes: frozenset[KeyScope]
    created_at: Micros


class Keys(Protocol):
    """Where keys are kept."""

    async def find(self, digest: str) -> Key | None:
        """The key with this digest.  Raises LedgerUnavailable."""
        ...


def new_key(secret: bytes) -> str:
    """The text of a key from `SECRET_BYTES` random bytes that nobody else has."""
    return _PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")


def digest(key: str) -> str:
    """What a key is known by: SHA-256 in hexadecimal digits.

    Nothing slower is needed, since a key has 256 random bits.
    """
    return hashlib.sha256(key.encode()).hexdigest()
