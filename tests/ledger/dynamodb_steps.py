"""Every kind of step of the DynamoDB ledger, each with what has to be there before it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from tests.conformance.stage import BOOM, LEASE, Stage, ended, submission
from unlost.ledger.dynamodb import DynamoLedger
from unlost.ledger.dynamodb.hints.telling import Hint, Onward
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import PULLED, Claim, Claimed, NewStep, Pull, Report, Worker
from unlost.limits.control import Change, Claimant
from unlost.policy import Limits
from unlost.task import Event, Outcome

LARGE = '{"n": "' + "é" * 3000 + '"}'
LIMITS = Limits(2, 60.0)


@dataclass
class Told:
    """An Announce that keeps what it was told."""

    hints: list[Hint] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    async def due(self, hints: Sequence[Hint]) -> None:
        self.hints += hints

    async def died(self, reports: Sequence[Report]) -> None:
        self.reports += reports

    async def onward(self, redrives: Sequence[Onward]) -> None:
        """A redrive of its own is no task."""


async def never() -> Ledger:
    raise AssertionError("nothing is reopened here")


@dataclass(frozen=True)
class Kind:
    """`before` brings about what `step` needs, and names it; `step` is taken on any ledger."""

    before: Callable[[Stage], Awaitable[Any]]
    step: Callable[[DynamoLedger, Any], Awaitable[Any]]


async def nothing(stage: Stage) -> None:
    """There is nothing to be done."""


async def waiting(stage: Stage) -> None:
    await stage.submit("a", payload=LARGE)
    await stage.submit("b", type="mail")
    await stage.ledger.enlist(Worker("w"), LEASE)


async def running(stage: Stage) -> Claimed:
    await stage.submit("a", payload=LARGE)
    return (await stage.claim())[0]


async def limited(stage: Stage) -> None:
    await stage.ledger.change("mail", Change(limit=1, key_limit=1))
    await stage.submit("a", payload=LARGE, type="mail", key="ann")


async def limited_running(stage: Stage) -> Claimed:
    await limited(stage)
    return (await stage.claim())[0]


async def dead(stage: Stage) -> None:
    await stage.bury("a", "b", "c", payload=LARGE)


async def overdue(stage: Stage) -> None:
    await stage.submit("a", "b")
    await by_id(stage.ledger, "b")
    stage.clock.advance(100)


async def over(stage: Stage) -> int:
    await stage.submit("a", payload=LARGE)
    await stage.retry(await stage.run("a"))
    await stage.succeed(await stage.run("a"), LARGE)
    await stage.submit("b")
    await stage.succeed(await stage.run("b"))
    return stage.clock.advance(60)


async def reported(stage: Stage) -> list[int]:
    await dead(stage)
    return [report.id for report in await stage.ledger.claim_reports(9, LEASE)]


async def first_report(stage: Stage) -> int:
    await dead(stage)
    (report,) = await stage.ledger.claim_reports(1, LEASE)
    stage.clock.advance(60)
    return report.id


async def unreported(stage: Stage) -> None:
    await dead(stage)
    stage.clock.advance(600)


async def by_id(ledger: Any, task_id: str, claimant: Claimant = Claimant.LOCAL) -> Any:
    return await ledger.claim_task(
        task_id, token="t-1", worker="function", limits=None, defaults=LIMITS, lease=LEASE,
        claimant=claimant,
    )  # fmt: skip


async def pull(ledger: Any, name: str = "one", *, empty: bool = False) -> Any:
    """Claim by the API, for at most two attempts."""
    known_by = f"{PULLED}{name}."
    types = dict.fromkeys(("nothing",) if empty else ("default", "mail"), Limits())
    tokens = (f"{known_by}1", f"{known_by}2")
    wanted = Claim("puller", tokens, types, LIMITS, claimant=Claimant.PULL)
    return await ledger.pull(Pull(wanted, "", LEASE, known_by, known_by))


async def pulled(stage: Stage) -> Any:
    await waiting(stage)
    return await pull(stage.ledger)


async def lost(stage: Stage) -> None:
    first, second = (await pulled(stage)).attempts
    await stage.lose(first)
    await stage.succeed(second)


def settling(outcome: Outcome, event: Event, **how: Any) -> Kind:
    async def step(ledger: DynamoLedger, attempt: Claimed) -> Any:
        return await ledger.settle([ended(attempt, outcome, event, **how)])

    return Kind(running, step)


async def settle_and_follow(ledger: DynamoLedger, attempt: Claimed) -> Any:
    done = ended(attempt, Outcome.SUCCEEDED, Event.SUCCEED)
    return await ledger.settle([replace(done, follow=submission("next", LARGE))])


async def stepped(stage: Stage) -> Claimed:
    attempt = await running(stage)
    await record(stage.ledger, attempt, "first")
    return attempt


async def dead_with_steps(stage: Stage) -> None:
    await stage.die(await stepped(stage))


async def record(ledger: Any, attempt: Claimed, name: str = "charge") -> Any:
    return await ledger.record_step(NewStep(attempt.task_id, attempt.token, name, '{"id": 7}'))


async def over_with_steps(stage: Stage) -> int:
    await stage.succeed(await stepped(stage))
    return stage.clock.advance(60)


async def cancel(ledger: DynamoLedger, _: Any) -> None:
    await ledger.cancel("a", "ann", "because")


KINDS: dict[str, Kind] = {
    "submit": Kind(nothing, lambda on, _: on.submit([submission("a"), submission("b")])),
    "submit a large one": Kind(nothing, lambda on, _: on.submit([submission("a", LARGE)])),
    "submit again": Kind(waiting, lambda on, _: on.submit([submission("a", LARGE)])),
    "enlist": Kind(nothing, lambda on, _: on.enlist(Worker("w", ("mail",)), LEASE)),
    "extend": Kind(waiting, lambda on, _: on.extend(["w"], 2 * LEASE)),
    "dismiss": Kind(waiting, lambda on, _: on.dismiss("w")),
    "claim": Kind(waiting, lambda on, _: on.claim(Claim("w", ("t-1", "t-2"), None, LIMITS))),
    "pull": Kind(waiting, lambda on, _: pull(on)),
    "pull again": Kind(pulled, lambda on, _: pull(on)),
    "pull what runs alone": Kind(lost, lambda on, _: pull(on, "two")),
    "pull nothing": Kind(nothing, lambda on, _: pull(on, empty=True)),
    "prolong": Kind(pulled, lambda on, _: on.prolong("puller", "", 2 * LEASE)),
    "claim by id": Kind(waiting, lambda on, _: by_id(on, "a")),
    "claim by id within limits": Kind(limited, lambda on, _: by_id(on, "a")),
    "succeed within limits, with a task that follows": Kind(limited_running, settle_and_follow),
    "record a step": Kind(running, record),
    "record another step": Kind(stepped, record),
    "succeed": settling(Outcome.SUCCEEDED, Event.SUCCEED, result="1"),
    "succeed with a large result": settling(Outcome.SUCCEEDED, Event.SUCCEED, result=LARGE),
    "retry": settling(Outcome.FAILED, Event.RETRY, wait=1.5, error=BOOM),
    "lose": settling(Outcome.LOST, Event.RETRY, error=BOOM),
    "release": settling(Outcome.RELEASED, Event.RELEASE),
    "die": settling(Outcome.FAILED, Event.DIE, error=BOOM),
    "cancel what waits": Kind(waiting, cancel),
    "cancel what runs": Kind(running, cancel),
    "redrive": Kind(dead, lambda on, _: on.redrive("a", "ann", None)),
    "redrive with another payload": Kind(dead, lambda on, _: on.redrive("a", None, "x", LARGE)),
    "redrive, forgetting": Kind(
        dead_with_steps, lambda on, _: on.redrive("a", None, None, LARGE, forget=True)
    ),
    "discard": Kind(dead, lambda on, _: on.discard("a", None, None)),
    "claim reports": Kind(dead, lambda on, _: on.claim_reports(9, LEASE)),
    "claim a report by id": Kind(first_report, lambda on, one: on.claim_report(one, LEASE)),
    "record as reported": Kind(reported, lambda on, ids: on.reported(ids)),
    "purge": Kind(over, lambda on, before: on.purge(before, 10)),
    "purge steps": Kind(over_with_steps, lambda on, before: on.purge(before, 10)),
    "hint what is overdue": Kind(overdue, lambda on, _: on.hint_overdue(10)),
    "announce deaths again": Kind(unreported, lambda on, _: on.hint_deaths(10)),
    "ping": Kind(nothing, lambda on, _: on.ping()),
}
