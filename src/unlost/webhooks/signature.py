"""Signatures by Standard Webhooks (https://www.standardwebhooks.com): HMAC-SHA256, `v1`.  Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes that a secret may have."""


class NotASecret(ValueError):
    """The text holds no secrets.  The message does not repeat it."""


def secrets_of(text: str) -> tuple[bytes, ...]:
    """The secrets in a text, `whsec_…` each, separated by spaces.  Raises NotASecret."""
    found = tuple(map(_secret, text.split(" ")))
    if not all(SHORTEST <= len(secret) <= LONGEST for secret in found):
        raise NotASecret(f"a secret has {SHORTEST} to {LONGEST} bytes")
    return found


def _secret(word: str) -> bytes:
    if not word.startswith(PREFIX):
        raise NotASecret(f"a secret begins with {PREFIX}")
    try:
        return base64.b64decode(word.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise NotASecret(f"what follows {PREFIX} is not base64") from None


def is_secrets(text: str) -> bool:
    """Whether the text holds secrets, and nothing else."""
    try:
        return bool(secrets_of(text))
    except NotASecret:
        return False


def headers(
    secrets: Sequence[bytes], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """The headers of a message, signed with each secret.

    `timestamp` is that of the attempt, in seconds since the epoch.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(secret, signed, hashlib.sha256) for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in digests),
    }
