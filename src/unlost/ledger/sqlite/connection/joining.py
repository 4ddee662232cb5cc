"""The steps that wait for a transaction, and how they are taken into it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from unlost.effects import TooManyForgotten
from unlost.ledger.protocol import (
    AnotherCall,
    AnothersWorker,
    Awaiting,
    LeaseOver,
    Refused,
    Repeated,
    StepsStand,
    UnknownTask,
)
from unlost.ledger.sqlite.connection.transaction import Transaction

EXPECTED = (
    Refused,
    UnknownTask,
    LeaseOver,
    Repeated,
    AnotherCall,
    AnothersWorker,
    StepsStand,
    TooManyForgotten,
)
"""What a step may raise, before it has written anything."""

JOINED = 2_000
"""The most items done in one call."""

Step = Callable[[Transaction], Any]


class Joint(msgspec.Struct, frozen=True):
    """A step on items that may be done in one call with the items of others.

    `run` gives one result an item, in order.
    """

    run: Callable[[Transaction, Sequence[Any]], list[Any]]
    items: Sequence[Any]


class Waiting(msgspec.Struct, frozen=True):
    """A step whose caller waits for its answer; where `patient`, after others."""

    step: Step | Joint
    future: asyncio.Future[Any] | Awaiting
    patient: bool = False


class Answer(msgspec.Struct, frozen=True):
    """What a caller gets once the transaction is committed: a value, or a refusal."""

    future: asyncio.Future[Any] | Awaiting
    value: Any = None
    fault: BaseException | None = None


def take_next(waiting: deque[Waiting], transaction: Transaction) -> list[Answer]:
    """Take the next step, with all that can be joined to it, into the transaction."""
    first = waiting.popleft()
    if isinstance(first.step, Joint):
        if not waiting:
            return [Answer(first.future, first.step.run(transaction, first.step.items))]
        return _together([first, *_alike(first.step, waiting)], transaction)
    try:
        return [Answer(first.future, first.step(transaction))]
    except EXPECTED as refusal:
        return [Answer(first.future, None, refusal)]


def _alike(joint: Joint, waiting: deque[Waiting]) -> list[Waiting]:
    """Remove from what waits the steps that go with this one."""
    found: list[Waiting] = []
    room = JOINED - len(joint.items)
    for _ in range(len(waiting)):
        one = waiting.popleft()
        if isinstance(one.step, Joint) and one.step.run is joint.run and room > 0:
            room -= len(one.step.items)
            found.append(one)
        else:
            waiting.append(one)
    return found


def _together(group: list[Waiting], transaction: Transaction) -> list[Answer]:
    joints = [one.step for one in group if isinstance(one.step, Joint)]
    results = iter(joints[0].run(transaction, [item for joint in joints for item in joint.items]))
    return [
        Answer(one.future, [next(results) for _ in joint.items])
        for one, joint in zip(group, joints, strict=True)
    ]


def answered_at_once(answers: list[Answer], may_be: Callable[[], bool]) -> bool:
    """Whether a single answer, where one `may_be` given, needed no event loop; from any thread."""
    if len(answers) != 1:
        return False
    [one] = answers
    return (
        one.fault is None
        and not isinstance(one.future, asyncio.Future)
        and may_be()
        and one.future.at_once(one.value)
    )


def deliver(answers: list[Answer]) -> None:
    """Hand the answers to the event loops that wait for them; from any thread."""
    if len(answers) == 1:
        loops = {answers[0].future.get_loop(): answers}
    else:
        loops = {}
        for answer in answers:
            loops.setdefault(answer.future.get_loop(), []).append(answer)
    for loop, mine in loops.items():
        with contextlib.suppress(RuntimeError):  # that loop has ended
            loop.call_soon_threadsafe(_set, mine)


def _set(answers: list[Answer]) -> None:
    for number, answer in enumerate(answers, 1):
        if answer.future.cancelled():
            continue
        try:
            if answer.fault is None:
                answer.future.set_result(answer.value)
            else:
                answer.future.set_exception(answer.fault)
        except BaseException:
            _set(answers[number:])  # whoever comes behind waits as well
            raise
