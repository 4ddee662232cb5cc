"""The commands of a story: each asks real parts for something, and lets them do what follows.

A command has names and options, as in `submit a b type=mail`.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator, Mapping

import msgspec

from tests.stories import telling
from tests.stories.machine import Machine
from tests.stories.play import Play
from unlost.access.caller import EVERYBODY
from unlost.api.request import members as own_members
from unlost.api.request import redrives, submission
from unlost.handlers import Reject, Retry
from unlost.ledger.protocol import Refused, UnknownTask
from unlost.limits import breaker
from unlost.limits.control import Change
from unlost.limits.why import why as explain
from unlost.task import SECOND, TERMINAL, State


class Words(msgspec.Struct, frozen=True):
    """A command, taken apart."""

    command: str
    names: list[str]
    options: dict[str, str]

    @classmethod
    def of(cls, line: str) -> Words:
        command, *rest = shlex.split(line)
        parts = [re.match(r"([A-Za-z]+)=(.*)", word, re.DOTALL) for word in rest]
        names = [word for word, part in zip(rest, parts, strict=True) if part is None]
        return cls(command, names, {part[1]: part[2] for part in parts if part is not None})


async def carry_out(play: Play, line: str) -> list[str]:
    """Carry out a command; all that is seen of it."""
    words = Words.of(line)
    try:
        answers = await COMMANDS[words.command](play, words)
    except Refused as refusal:
        answers = [f"refused: {refusal}"]
    except UnknownTask:
        answers = ["refused: no such task"]
    return await play.told(answers)


async def submit(play: Play, words: Words) -> list[str]:
    """`submit a b payload={} type=mail`: options as in the HTTP API."""
    options = dict(words.options)
    payload = options.pop("payload", "{}")
    bodies = [
        json.dumps({"taskId": name} | members(options))[:-1] + f', "payload": {payload}}}'
        for name in words.names
    ]
    answers = await play.ledger.submit([submission.read(body.encode()) for body in bodies])
    for name in words.names:
        play.told_of.setdefault(name, None)
    return [f"{name}  {one.verdict}" for name, one in zip(words.names, answers, strict=True)]


def members(options: Mapping[str, str]) -> dict[str, str | int]:
    """Options as members of a JSON object."""
    return {name: int(text) if text.isdigit() else text for name, text in options.items()}


async def worker(play: Play, words: Words) -> list[str]:
    """`worker w1 types=mail,text slots=2 alone=yes`: start one, on a machine of its own."""
    for name in words.names:
        types = tuple(filter(None, words.options.get("types", "").split(",")))
        slots = int(words.options.get("slots", 8))
        alone = "alone" in words.options
        play.machines[name] = Machine(name, types, slots, play.ledger, play.say, alone=alone)
    return []


async def succeed(play: Play, words: Words) -> list[str]:
    """`succeed a result={}`: its handler returns."""
    for handler in handlers(play, words):
        handler.set_result(json.loads(words.options.get("result", "null")))
    return []


async def fail(play: Play, words: Words) -> list[str]:
    """`fail a error="OSError: no route"`: its handler raises."""
    name, _, message = words.options["error"].partition(": ")
    kind = type(name, (Exception,), {"__module__": "builtins"})
    for handler in handlers(play, words):
        handler.set_exception(kind(message))
    return []


async def reject(play: Play, words: Words) -> list[str]:
    """`reject a reason="no such customer"`: its handler raises Reject."""
    for handler in handlers(play, words):
        handler.set_exception(Reject(words.options["reason"]))
    return []


async def retry(play: Play, words: Words) -> list[str]:
    """`retry a after=60 reason="too many calls"`: its handler raises Retry."""
    for handler in handlers(play, words):
        after = float(words.options["after"])
        handler.set_exception(Retry(after=after, reason=words.options["reason"]))
    return []


def handlers(play: Play, words: Words) -> Iterator[asyncio.Future[object]]:
    """The handlers that run these tasks; `on=w1` says on which machine, where there are two."""
    on = words.options.get("on")
    machines = [one for one in play.machines.values() if on in (None, one.name)]
    for name in words.names:
        (handler,) = [one.handlers[name] for one in machines if name in one.handlers]
        yield handler


async def crash(play: Play, words: Words) -> list[str]:
    """`crash w1`: the worker's process is killed."""
    await play.machines[words.names[0]].crash()
    return []


async def cut(play: Play, words: Words) -> list[str]:
    """`cut w1`: its machine does not reach the ledger any more, and works on."""
    play.machines[words.names[0]].cut()
    return []


async def mend(play: Play, words: Words) -> list[str]:
    """`mend w1`: its machine reaches the ledger again."""
    play.machines[words.names[0]].mend()
    return []


async def stop(play: Play, words: Words) -> list[str]:
    """`stop w1`: the worker is told to end in order."""
    play.machines[words.names[0]].stop()
    return []


async def later(play: Play, words: Words) -> list[str]:
    """`later 10s`: nothing is done for so long."""
    await play.let_pass(int(words.names[0].removesuffix("s")))
    return []


async def cancel(play: Play, words: Words) -> list[str]:
    """`cancel a by=ann reason=…`"""
    await play.ledger.cancel(words.names[0], *who(words))
    return []


async def discard(play: Play, words: Words) -> list[str]:
    """`discard a by=ann reason=…`"""
    await play.ledger.discard(words.names[0], *who(words))
    return []


async def redrive(play: Play, words: Words) -> list[str]:
    """`redrive a by=ann reason=… payload={}`"""
    await play.ledger.redrive(words.names[0], *who(words), words.options.get("payload"))
    return []


async def redrive_many(play: Play, words: Words) -> list[str]:
    """`redrive-many fix-1 type=mail canary=1 tolerate=0`: options as in the HTTP API."""
    body = json.dumps({"id": words.names[0]} | members(words.options)).encode()
    asked = redrives.read(body, EVERYBODY, own_members.path_id)
    await play.ledger.add_redrive(asked.redrive, asked.named)
    play.follow(asked.redrive.id)
    return []


def who(words: Words) -> tuple[str | None, str | None]:
    """Who asks for it, and why."""
    return words.options.get("by"), words.options.get("reason")


async def pause(play: Play, words: Words) -> list[str]:
    """`pause mail by=ann reason=…`"""
    await play.ledger.pause(words.names[0], *who(words))
    return []


async def resume(play: Play, words: Words) -> list[str]:
    """`resume mail`"""
    await play.ledger.resume(words.names[0])
    return []


async def limit(play: Play, words: Words) -> list[str]:
    """`limit mail 2` or `limit mail perKey=1`: how many of its tasks may run at once."""
    if "perKey" in words.options:
        change = Change(key_limit=int(words.options["perKey"]))
    else:
        change = Change(limit=int(words.names[1]))
    await play.ledger.change(words.names[0], change)
    return []


async def set_breaker(play: Play, words: Words) -> list[str]:
    """`breaker mail minimum=2 open=30`"""
    minimum, open_for = int(words.options["minimum"]), int(words.options["open"]) * SECOND
    chosen = breaker.Breaker(minimum=minimum, pause=open_for)
    await play.ledger.change(words.names[0], Change(breaker=chosen))
    return []


async def why(play: Play, words: Words) -> list[str]:
    """`why a`: why it is not running now, and what would change that."""
    facts = await play.ledger.facts(words.names)
    reasons = [(name, explain(facts[name])) for name in words.names]
    return [
        f"{name}  {line}"
        for name, one in reasons
        for line in (f"{one.reason}: {one.detail}", one.would_change)
    ]


async def show(play: Play, words: Words) -> list[str]:
    """`show a`: the whole of its record."""
    record = await play.record(words.names[0])
    lines = telling.news(None, record, "", play.clock())
    return [f"payload {record.payload or 'is gone'}", *lines]


async def dead_letters(play: Play, words: Words) -> list[str]:
    """`dead-letters`: in groups that look alike."""
    return [
        f"{group.count} of {group.error_type}: {group.sample}"
        for group in await play.ledger.groups()
    ]


async def purge(play: Play, words: Words) -> list[str]:
    """`purge 1s`: as `--retain` has it done, of what ended longer ago than that."""
    before = play.clock() - round(float(words.names[0].removesuffix("s")) * SECOND)
    return [f"{await play.ledger.purge(before, 100)} purged"]


async def sums(play: Play, words: Words) -> list[str]:
    """`sums`: what was accepted, and where it is."""
    counts = await play.ledger.counts()
    ended = [f"{counts.states.get(state, 0)} {state}" for state in State if state in TERMINAL]
    left = sum(number for state, number in counts.states.items() if state not in TERMINAL)
    return [f"accepted {counts.accepted} = {' + '.join(ended)} + {left} outstanding"]


COMMANDS: dict[str, Callable[[Play, Words], Awaitable[list[str]]]] = {
    "breaker": set_breaker, "cancel": cancel, "crash": crash, "cut": cut,
    "dead-letters": dead_letters, "discard": discard, "fail": fail, "later": later,
    "limit": limit, "mend": mend, "pause": pause, "purge": purge, "redrive": redrive,
    "redrive-many": redrive_many, "reject": reject, "resume": resume, "retry": retry,
    "show": show, "stop": stop, "submit": submit, "succeed": succeed, "sums": sums, "why": why,
    "worker": worker,
}  # fmt: skip
