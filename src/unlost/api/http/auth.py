"""API keys: `Authorization: Bearer KEY`, and the scope that each call needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from unlost.api.problems import Forbidden, Unauthorized
from unlost.keys import Key, Keys, KeyScope, digest
from unlost.task import SECOND, Micros

REMEMBERED: Final = 60 * SECOND
"""How long a key that was looked up is trusted without looking again: a revoked one may be used
that much longer."""

MOST_REMEMBERED: Final = 1_000

_BEARER = re.compile(rb"bearer +([\x21-\x7e]{1,500})", re.IGNORECASE)


class Guard:
    """Lets calls pass that have a key with the scope they need.

    `clock` is the time of day: a process that was frozen must not trust what it knew before.
    """

    def __init__(self, keys: Keys, clock: Callable[[], Micros]) -> None:
        self._keys = keys
        self._clock = clock
        self._known: dict[str, tuple[Micros, Key | None]] = {}  # by digest; when it was looked up

    def over(self, needed: KeyScope, endpoint: ASGIApp) -> ASGIApp:
        """The endpoint for those who have the scope; it raises Unauthorized, Forbidden, and
        LedgerUnavailable while keys cannot be looked up."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            key = await self._find(_key_of(scope))
            if key is None:
                raise Unauthorized(
                    "this key is not known here",
                    headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
                )
            if needed not in key.scopes:
                raise Forbidden(
                    f"this key has not the scope {needed.value}",
                    headers={
                        "WWW-Authenticate": (
                            f'Bearer error="insufficient_scope", scope="{needed.value}"'
                        )
                    },
                )
            await endpoint(scope, receive, send)

        return guarded

    async def _find(self, key: str) -> Key | None:
        name = digest(key)
        now = self._clock()
        at, found = self._known.get(name, (None, None))
        if at is not None and 0 <= now - at < REMEMBERED:
            return found
        found = await self._keys.find(name)
        self._known.pop(name, None)
        if len(self._known) >= MOST_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[name] = now, found
        return found


def _key_of(scope: Scope) -> str:
    """The key that a call brings.  Raises Unauthorized."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    match = _BEARER.fullmatch(given[0].strip()) if len(given) == 1 else None
    if match is None:
        raise Unauthorized(
            "an API key is needed: Authorization: Bearer KEY",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return match[1].decode()
