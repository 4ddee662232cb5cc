"""The tokens that clients get for attempts, and those by which the ledger knows these.

A client's token is sealed with a key that comes from the ledger's secret: what is in it is as the
service has written it, and nobody else can make one.  It has all that settling needs, so that a
settlement is one step of the ledger.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec.structs import replace

from unlost.ledger.values import PULLED, Claimed
from unlost.task import Micros, Record

LONGEST: Final = 2_000
"""Characters of a token."""

_SEAL: Final = 16  # bytes
_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
_ROOM: Final = LONGEST * 3 // 4 - _SEAL


class Ticket(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What a token says of its attempt (see `Claimed`).

    Without a type it had no room for that, nor for what the task carries: the record says both.
    """

    task_id: str
    token: str
    number: int
    spent: int
    max_retries: int
    timeout: float
    redrive_count: int
    submitted_at: Micros
    started_at: Micros
    excused: int
    type: str
    carried: str | None

    @property
    def whole(self) -> bool:
        """Whether it says all."""
        return bool(self.type)

    def completed(self, record: Record) -> Ticket:
        """With what it had no room for."""
        return replace(self, type=record.type, carried=record.carried)

    @property
    def claimed(self) -> Claimed:
        """The attempt, without what is for its handler alone."""
        return Claimed(
            self.task_id, self.token, self.type, "", self.number, self.spent, self.max_retries,
            self.timeout, 0, self.redrive_count, self.submitted_at, self.started_at, None,
            self.carried, None, self.excused,
        )  # fmt: skip


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Ticket).decode


class Seal:
    """Makes tokens, and reads those that were made with the same ledger's secret."""

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.sha256(b"unlost attempt\0" + secret).digest()

    def token(self, claimed: Claimed) -> str:
        """The token of an attempt."""
        ticket = Ticket(
            claimed.task_id, claimed.token, claimed.number, claimed.spent, claimed.max_retries,
            claimed.timeout, claimed.redrive_count, claimed.submitted_at, claimed.started_at,
            claimed.excused, claimed.type, claimed.carried,
        )  # fmt: skip
        text = _encode(ticket)
        if len(text) > _ROOM:
            text = _encode(replace(ticket, type="", carried=None))
        return base64.urlsafe_b64encode(self._seal(text) + text).rstrip(b"=").decode()

    def ticket(self, token: str) -> Ticket | None:
        """What a token says; None for one that was not made so."""
        if len(token) > LONGEST:
            return None
        try:
            digits = token.encode("ascii").translate(_ALPHABET) + b"=" * (-len(token) % 4)
            raw = binascii.a2b_base64(digits, strict_mode=True)
        except (binascii.Error, ValueError):
            return None
        text = raw[_SEAL:]
        if not hmac.compare_digest(raw[:_SEAL], self._seal(text)):
            return None
        try:
            return _decode(text)
        except msgspec.MsgspecError:
            return None

    def _seal(self, text: bytes) -> bytes:
        return hashlib.blake2b(text, digest_size=_SEAL, key=self._key).digest()

    def claim(self, claim: str, types: Iterable[str]) -> tuple[str, str]:
        """With what the ledger's tokens of a claim begin, and those of all its calls that name
        these types: nobody else can know them, and so none of the ids that are made of them."""
        known_by = (
            PULLED + hashlib.blake2b(claim.encode(), digest_size=10, key=self._key).hexdigest()
        )
        named = "\0".join(sorted(types)).encode("utf-8", "surrogatepass")
        return known_by, known_by + hashlib.blake2b(named, digest_size=4).hexdigest()
