"""`unlost effects`: what handlers said has happened, and what happened more than once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

import msgspec
from cyclopts import Parameter

from unlost.audit import repeated as reading
from unlost.audit.repeated import Happened, Repeated
from unlost.cli.failures import WrongUsage
from unlost.cli.ledgers.opening import LedgerUrl, on_ledger
from unlost.cli.options import switch, whole
from unlost.cli.show.output import raw
from unlost.cli.show.tables import Columns, table
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Declared
from unlost.times import rfc3339

T = TypeVar("T")

REPEATED = Columns(("task", "type", "effect", "times", "attempts", "after"), spare=("type",))
ALL = Columns(("task", "effect", "attempt", "at"), spare=("at",))


class One(msgspec.Struct, frozen=True, rename="camel"):
    """An effect as it is printed as JSON."""

    task_id: str
    name: str
    attempt: int
    at: str


def effects(
    *,
    ledger: LedgerUrl,
    repeated: Annotated[bool, switch("--repeated", "those alone that happened twice")] = False,
    limit: Annotated[int, Parameter(converter=whole, help="how many at most")] = 1_000,
    json: Annotated[bool, switch("--json", "print JSON")] = False,
) -> None:
    """List what handlers declared with `task.effect`, or what happened more than once, after what.

    It reads the ledger itself, beside a service or without one.
    """
    if limit < 1:
        raise WrongUsage(f"--limit must be 1 or more, not {limit}")

    async def read_repeated(opened: Ledger) -> list[Repeated]:
        return await _first(reading.repeated(opened), limit)

    async def read_all(opened: Ledger) -> list[One]:
        return [_one(declared) for declared in await _first(reading.declared(opened), limit)]

    if repeated:
        twice = on_ledger(ledger, read_repeated, reading=True)
        if json:
            raw(msgspec.json.encode({"effects": twice}))
        else:
            table(REPEATED, map(_row, twice))
        return
    found = on_ledger(ledger, read_all, reading=True)
    if json:
        raw(msgspec.json.encode({"effects": found}))
    else:
        table(ALL, [(one.task_id, one.name, str(one.attempt), one.at) for one in found])


async def _first(found: AsyncIterator[T], limit: int) -> list[T]:
    first: list[T] = []
    async for one in found:
        first.append(one)
        if len(first) == limit:
            break
    return first


def _one(declared: Declared) -> One:
    effect = declared.effect
    return One(declared.task_id, effect.name, effect.attempt, rfc3339(effect.at))


def _row(one: Repeated) -> tuple[str, ...]:
    attempts = ", ".join(str(happened.attempt) for happened in one.happened)
    after = "; ".join(_after(*pair) for pair in zip(one.happened, one.happened[1:], strict=False))
    return one.task_id, one.type, one.name, str(one.times), attempts, after


def _after(before: Happened, again: Happened) -> str:
    """After what it happened again."""
    if before.attempt == again.attempt:
        return f"attempt {before.attempt} did it again"
    ended = "has no end" if before.outcome is None else before.outcome.value.replace("_", " ")
    why = f"attempt {before.attempt} {ended}" + (f" ({before.error})" if before.error else "")
    return f"{why}, redriven" if again.redriven else why
