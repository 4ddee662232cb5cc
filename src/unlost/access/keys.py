"""API keys: their text, what is kept of them, and what they allow.

A key is known by its hash alone, so that whoever reads the ledger cannot use what is in it.  Its
name is given once: what a revoked key did stays told of one key.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from unlost.task import SECOND, Micros

SECRET_BYTES: Final = 32
MAX_NAME: Final = 100
HOUR: Final[Micros] = 3_600 * SECOND

NEVER: Final = -math.inf

MOST_SECRETS: Final = 20
"""Secrets of one key that are remembered, those that are over included."""

_PREFIX: Final = "unlost_"
_KEY: Final = re.compile(_PREFIX + r"[A-Za-z0-9_-]{43}")


class KeyScope(StrEnum):
    """What a key may be allowed."""

    SUBMIT = "submit"
    METRICS = "metrics"
    READ = "read"
    OPERATE = "operate"
    WORK = "work"


class Secret(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key's hash, and until when it is known where another has taken its place."""

    digest: str
    until: Micros | None = None


class Key(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key that was given out, without the key itself.

    `secrets` has the newest first.  `types` bounds whatever the key does, None not at all.  `rate`
    is how many tasks it may submit in a second.  `used_at` is the hour in which it was last used.
    Scopes that a newer version knows stand for nothing here.  Without secrets it is `unreadable`.
    """

    name: str
    scopes: frozenset[str]
    created_at: Micros
    secrets: tuple[Secret, ...]
    types: tuple[str, ...] | None = None
    rate: float | None = None
    expires_at: Micros | None = None
    used_at: Micros | None = None
    revoked_at: Micros | None = None

    def may(self, scope: KeyScope) -> bool:
        """Whether it has the scope; who may read may read the metrics."""
        return scope in self.scopes or (scope is KeyScope.METRICS and KeyScope.READ in self.scopes)

    def holds(self, now: Micros) -> bool:
        """Whether it has neither been revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def known_until(self, digest: str) -> float:
        """When it ends that it holds and is known by this hash; `NEVER` where it is not at all,
        infinity where no end is set."""
        until = NEVER
        for secret in self.secrets:
            if hmac.compare_digest(secret.digest, digest):
                until = max(until, math.inf if secret.until is None else secret.until)
        if self.revoked_at is not None:
            return NEVER
        return until if self.expires_at is None else min(until, self.expires_at)

    def is_known_by(self, digest: str, now: Micros) -> bool:
        """Whether it holds, and this is its hash or one that has not ended yet."""
        return now < self.known_until(digest)

    def has(self, digest: str) -> bool:
        """Whether this is a hash of it, or was one."""
        return any(hmac.compare_digest(secret.digest, digest) for secret in self.secrets)


_decode: Final = msgspec.json.Decoder(Key).decode


def decoded(name: str, text: Any) -> Key:
    """The key with this name as it was kept, as JSON.

    One that cannot be read is as one that was revoked, with no secret: it keeps nobody from using
    another key, and its name stays given.
    """
    try:
        return _decode(text)
    except (msgspec.DecodeError, TypeError, ValueError):
        return unreadable(name)


def unreadable(name: str) -> Key:
    """What stands for a key with this name that cannot be read."""
    return Key(name, frozenset(), 0, (), revoked_at=0)


def new_key(secret: bytes) -> str:
    """The text of a key from `SECRET_BYTES` random bytes that nobody else has."""
    return _PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")


def is_key(text: str) -> bool:
    """Whether a text has the form of a key: `unlost_` and 43 characters."""
    return _KEY.fullmatch(text) is not None


def digest(key: str) -> str:
    """What a key is known by: SHA-256 in hexadecimal digits.

    Nothing slower is needed, since a key has 256 random bits.
    """
    return hashlib.sha256(key.encode()).hexdigest()


def rotated(key: Key, new: str, until: Micros) -> Key:
    """The key under another secret; those before are known until then, or until their own end."""
    if key.has(new):
        return key
    before = (
        replace(secret, until=until if secret.until is None else min(secret.until, until))
        for secret in key.secrets
    )
    return replace(key, secrets=(Secret(new), *before)[:MOST_SECRETS])


def revoked(key: Key, at: Micros) -> Key:
    """The key once nobody may use it; where that is so already, as it is."""
    return key if key.revoked_at is not None else replace(key, revoked_at=at)


def used(key: Key, at: Micros) -> Key:
    """The key once it was used, remembered to the hour."""
    hour = at - at % HOUR
    return key if (key.used_at or 0) >= hour else replace(key, used_at=hour)
