"""Checks of what a service is told: its settings, its ledger, its handlers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import Field, fields
from typing import Any

import msgspec

from unlost.cli.commands.doctor.finding import Finding, fail, note, ok
from unlost.cli.text import counted, masked
from unlost.handlers import HandlerNotLoaded
from unlost.ledger.looking import Look, look
from unlost.ledger.opening import open_ledger
from unlost.ledger.protocol import Ledger, LedgerUnavailable, NotALedger
from unlost.ledger.values import Query
from unlost.policy import Limits
from unlost.prove.look import look as look_at_handlers
from unlost.settings import NONE, Settings, WrongSetting, check_together, origin, value_of
from unlost.task import SECOND

STDERR = 2  # what a module prints while it is imported is no part of what this command says

APART = 1.0
"""Seconds that two clocks may be apart before it is noted."""


class Setting(msgspec.Struct, frozen=True):
    """A setting as it holds, and where that comes from: a flag, a variable, or the default."""

    name: str
    value: str | int | float | None
    source: str


def settings(
    flags: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[Settings, list[Setting], list[Finding]]:
    """The settings that hold, each with its source, and what is wrong with them.

    In place of a wrong one stands the default.
    """
    good: dict[str, Any] = {}
    found, wrong = [], []
    for item in fields(Settings):
        source = origin(item.name, flags, environ)
        try:
            value = value_of(item.name, flags, environ)
        except WrongSetting as error:
            secret = f"{source} must be a URL"  # what it is may hold a password
            wrong.append(fail("settings", secret if item.name == "ledger" else str(error)))
            continue
        good[item.name] = value
        found.append(Setting(item.name.replace("_", "-"), _shown(item, value), source))
    together = Settings(**good)
    if not wrong:
        try:
            check_together(together)
        except WrongSetting as error:
            wrong.append(fail("settings", str(error)))
    if not wrong:
        given = sum(one.source != "default" for one in found)
        wrong.append(ok("settings", f"{given} given, {len(found) - given} by default"))
    return together, found, wrong


def _shown(item: Field[Any], value: Any) -> str | int | float | None:
    """A setting's value, without what nobody should see."""
    if item.metadata["secret"]:
        return "(set)" if value else ""
    if isinstance(value, tuple):
        return ", ".join(value)
    return masked(value) if isinstance(value, str) else value


def ledger(url: str) -> tuple[Look | None, list[Finding]]:
    """What is where the ledger should be, and how it is.  Makes and migrates none."""
    shown = masked(url)

    async def examine() -> tuple[Look | None, list[Finding]]:
        seen = await look(url)
        notes = [note("database", one) for one in seen.notes]
        if seen.faults:
            return seen, [*(fail("ledger", f"{shown}: {one}") for one in seen.faults), *notes]
        if not seen.exists:
            none = f"there is none at {shown} yet: a service makes it"
            return seen, [note("ledger", none), *notes]
        if not seen.is_current:
            old = f"{shown} has schema {seen.schema}, which a service brings to {seen.newest}"
            return seen, [note("ledger", f"{old}; nothing was written to it now"), *notes]
        opened = await open_ledger(url, must_exist=True, reading=not seen.is_used)
        try:
            return seen, [one async for one in _opened(opened, shown, seen)] + notes
        finally:
            await opened.close()

    try:
        return asyncio.run(examine())
    except LedgerUnavailable as error:
        return None, [fail("ledger", masked(str(error)))]
    except (WrongSetting, NotALedger) as error:
        return None, [fail("ledger", f"{masked(str(error))}; is --ledger right?")]


async def _opened(ledger: Ledger, shown: str, seen: Look) -> AsyncIterator[Finding]:
    """How a ledger answers."""
    answered = "and was only read: no service has used it here yet"
    if seen.is_used:
        start = time.perf_counter()
        await ledger.ping()
        answered = f"and answered a write in {(time.perf_counter() - start) * 1000:.1f} ms"
    schema = "" if seen.schema is None else f", schema {seen.schema}"
    yield ok("ledger", f"{shown} opens{schema}, {answered}")
    counts = await ledger.counts()
    lost = counts.accepted - sum(counts.states.values())
    told = f"{counts.accepted} accepted, {lost} lost; `unlost audit` reads every record"
    yield (fail if lost else ok)("sums", told)
    yield await _clock(ledger, seen)


async def _clock(ledger: Ledger, seen: Look) -> Finding:
    """The ledger's clock against this machine's."""
    if seen.ahead is not None:
        grade = note if abs(seen.ahead) > APART else ok
        return grade("ledger clock", f"{seen.ahead:+.3f} s against this machine's")
    page = await ledger.page(Query(limit=1))
    for record in page.records:
        ahead = record.submitted_at / SECOND - time.time()
        if ahead > APART:
            told = f"the newest task was submitted {ahead:.0f} s in the future"
            return note("ledger clock", f"{told}: this machine's clock was set back")
    return ok("ledger clock", "this machine's own; no task is newer than now")


def handler(spec: str, given: Settings) -> Finding:
    """Whether the handlers can be imported, and what they serve."""
    if not spec:
        rate = f"fails {given.failure_rate:.0%} of attempts"
        return note("handler", f"the simulated one, which {rate}; --handler names yours")
    if spec == NONE:
        return ok("handler", "none here: tasks wait for workers that claim by the API")
    try:
        types = look_at_handlers(spec, STDERR, given.start_timeout)
    except HandlerNotLoaded as error:
        return fail("handler", str(error))
    if types is None:
        return ok("handler", f"{spec} serves every type ({_limits(Limits(), given)})")
    served = ", ".join(f"{name} ({_limits(one, given)})" for name, one in types.items())
    return ok("handler", f"{spec} serves {served}")


def _limits(own: Limits, given: Settings) -> str:
    retries = given.max_retries if own.max_retries is None else own.max_retries
    timeout = given.attempt_timeout if own.timeout is None else own.timeout
    return f"{counted(retries, 'retry')}, {timeout:g} s"


def would(given: Settings, seen: Look | None, failed: bool, busy: bool) -> list[str]:
    """What `unlost serve` would do, in lines."""
    if failed:
        return ["nothing: what failed above has to be mended first"]
    if busy:
        return ["nothing: a service is there already"]
    place = masked(given.ledger)
    if seen is None or seen.is_current:
        first = f"open {place}"
    elif seen.exists:
        first = f"open {place} and bring it from schema {seen.schema} to {seen.newest}"
    else:
        first = f"make the ledger {place}"
    purge = "never purge" if given.retain is None else f"purge after {given.retain:g} s"
    at_once = given.workers * given.concurrency
    workers = counted(given.workers, "worker")
    work = f"run {workers} with {counted(at_once, 'attempt')} at once in all"
    return [
        first,
        f"listen on {given.host} port {given.port or '(a free one)'}",
        work if given.works else "run no worker",
        f"{purge}, and drain for at most {given.grace:g} s when it is stopped",
    ]
