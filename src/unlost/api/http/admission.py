"""Who may make a call: the one place that every call passes before it reaches its endpoint.

`Authorization: Bearer KEY`, and the scope that each call needs.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from starlette.types import Message, Receive, Scope

from unlost.access.caller import EVERYBODY, STRANGER, Caller
from unlost.access.keys import KeyScope, digest
from unlost.api.http.gate import Gate
from unlost.api.http.known_keys import KnownKeys
from unlost.api.openapi.operation import Operation
from unlost.api.problems import Forbidden, Unauthorized
from unlost.ledger.protocol import LedgerUnavailable

TO_RECOGNIZE: Final = 0.5
"""Seconds that a call which needs no key waits to know whose it brings."""

_BEARER: Final = re.compile(rb"bearer +([\x21-\x7e]{1,500})", re.IGNORECASE)


class Admission:
    """Lets calls pass that have a key with the scope they need; without `keys` all.

    Before that, `gate` has to let them in.
    """

    def __init__(self, gate: Gate, keys: KnownKeys | None) -> None:
        self.gate = gate
        self._keys = keys

    async def caller(self, scope: Scope, operation: Operation | None) -> Caller:
        """Who makes this call, to this operation (None: there is none).

        Raises Unauthorized, Forbidden, and LedgerUnavailable while keys cannot be looked up.
        """
        if self._keys is None:
            return EVERYBODY
        if operation is not None and operation.scope is None:
            return await _whoever(self._keys, scope) if operation.more_to_known else STRANGER
        name = digest(_key_of(scope))
        key = await self._keys.find(name)
        if key is None:
            raise _unknown()
        caller = Caller(key, name)
        if operation is not None and operation.scope is not None:
            _check(caller, operation.scope, operation.or_own)
        return caller

    def while_it_holds(self, caller: Caller, receive: Receive) -> Receive:
        """What receives a call's body, which may take any time to come: at its end it raises
        Unauthorized where the caller's key holds no more, and LedgerUnavailable."""
        if self._keys is None or caller.key is None:
            return receive

        async def received() -> Message:
            message = await receive()
            ended = message["type"] == "http.request" and not message.get("more_body")
            if ended and not await self.holds(caller):
                raise _unknown()
            return message

        return received

    async def keep_fresh(self) -> None:
        """Keep the keys that are known fresh, for as long as the app runs."""
        if self._keys is not None:
            await self._keys.keep_fresh()

    def still(self, caller: Caller) -> bool:
        """Whether this caller may make the same call again, as far as that is known at once."""
        return self._keys is None or caller.key is None or self._keys.still(caller.digest)

    async def holds(self, caller: Caller) -> bool:
        """Whether this caller may go on with what takes long.  Raises LedgerUnavailable."""
        return (
            self._keys is None
            or caller.key is None
            or await self._keys.find(caller.digest) is not None
        )


async def _whoever(keys: KnownKeys, scope: Scope) -> Caller:
    """Nobody is asked for a key, but who brings one is told more.

    Where the keys cannot be read now, what was known of them last holds: it is then that somebody
    needs to be told.
    """
    try:
        name = digest(_key_of(scope))
    except Unauthorized:
        return STRANGER
    try:
        async with asyncio.timeout(TO_RECOGNIZE):
            key = await keys.find(name)
    except (LedgerUnavailable, TimeoutError):
        key = keys.seen(name)
    return STRANGER if key is None else Caller(key, name)


def _unknown() -> Unauthorized:
    return Unauthorized(
        "this key is not known here",
        headers={"WWW-Authenticate": 'Bearer error="invalid_token"'},
    )


def _check(caller: Caller, needed: KeyScope, or_own: KeyScope | None) -> None:
    if not caller.may(needed) and not (or_own is not None and caller.may(or_own)):
        raise lacking(needed)


def need(caller: Caller, scope: KeyScope) -> None:
    """Raise Forbidden where the caller has not this scope, which the call needs as it is made."""
    if not caller.may(scope):
        raise lacking(scope)


def lacking(scope: KeyScope) -> Forbidden:
    """The refusal of a key that lacks a scope."""
    return Forbidden(
        f"this key has not the scope {scope.value}", headers=_insufficient(scope.value)
    )


def need_type(caller: Caller, task_type: str) -> None:
    """Raise Forbidden where the caller is bounded to other types."""
    if not caller.sees(task_type):
        raise other_type()


def other_type() -> Forbidden:
    """The refusal of a key that is bounded to other types."""
    return Forbidden(
        "this key is for tasks of other types",
        headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
    )


def _insufficient(scope: str) -> Mapping[str, str]:
    return {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}


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
