"""Every kind of step, each with what has to be there before it and the table it writes late."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.conformance.stage import BOOM, LEASE, OTHER, Stage, ended, submission
from unlost.effects import Recorded
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Claim, Claimed, Copy, NewStep, Worker
from unlost.policy import Limits
from unlost.redrive import Named, Redrive
from unlost.task import SECOND, Event, Outcome


@dataclass(frozen=True)
class Kind:
    """`before` brings about what `step` needs, and names it; `step` is taken on any ledger.

    A step that finds itself done already may be refused: it is then as if it had answered.
    """

    table: str
    before: Callable[[Stage], Awaitable[Any]]
    step: Callable[[Ledger, Any], Awaitable[Any]]


async def nothing(stage: Stage) -> None:
    """There is nothing to be done."""


async def waiting(stage: Stage) -> None:
    await stage.submit("a", "b")
    await stage.ledger.enlist(Worker("w"), LEASE)


async def running(stage: Stage) -> Sequence[Claimed]:
    await stage.submit("a", "b", "c", "d")
    return await stage.claim(4)


async def dead(stage: Stage) -> None:
    await stage.bury("a", "b")


async def redriving(stage: Stage) -> None:
    """A redrive that takes two letters with its next step."""
    await stage.bury("a", "b")
    await stage.ledger.add_redrive(Redrive("one", canary=0, tolerate=None), Named())
    await stage.ledger.step_redrive("one")


async def unreported(stage: Stage) -> list[int]:
    await stage.bury("a")
    return [report.id for report in await stage.ledger.claim_reports(10, LEASE)]


async def finished(stage: Stage) -> int:
    await stage.submit("a")
    await stage.succeed(await stage.run("a"), "1")
    return stage.clock.advance(60)


async def elsewhere(stage: Stage) -> list[Copy]:
    """What another ledger keeps: a success, dead letters, what runs and what waits."""

    async def never() -> Ledger:
        raise AssertionError("nothing is reopened here")

    other = Stage(MemoryLedger(stage.clock), stage.clock, never)
    await finished(other)
    await other.bury("b", "c")
    await other.submit("d")
    await other.claim()
    await other.submit("e", priority=3)
    return [copy for _, copy in await other.ledger.copies(0, 100)]


async def claim(ledger: Ledger, _: None) -> set[str]:
    """What the worker holds then: after an unknown outcome, a claim may have been done."""
    claims = Claim("w", ["t1", "t2"], None, Limits(2, 60.0))
    await ledger.claim(claims)
    return {held.task_id for held in await ledger.held("w")}


async def settle(ledger: Ledger, held: Sequence[Claimed]) -> None:
    succeeded, retried, died, released = held
    await ledger.settle(
        [
            ended(succeeded, Outcome.SUCCEEDED, Event.SUCCEED, result='"done"'),
            ended(retried, Outcome.FAILED, Event.RETRY, wait=1, error=OTHER),
            ended(died, Outcome.FAILED, Event.DIE, error=BOOM),
            ended(released, Outcome.RELEASED, Event.RELEASE),
        ]
    )


async def submit(ledger: Ledger, _: None) -> None:
    await ledger.submit([submission("a"), submission("b", '{"n":1}'), submission("a")])


async def stepped(stage: Stage) -> None:
    attempt, *_ = await running(stage)
    await record(stage.ledger, [attempt])
    await stage.die(attempt)


async def record(ledger: Any, held: Sequence[Claimed]) -> Recorded:
    attempt = held[0]
    verdict: Recorded = await ledger.record_step(
        NewStep(attempt.task_id, attempt.token, "charge", '{"id": 7}')
    )
    return verdict


async def forget(ledger: Any, _: None) -> None:
    await ledger.redrive("a", None, None, forget=True)


KINDS = {
    "submit": Kind("tally", nothing, submit),
    "claim": Kind("tally", waiting, claim),
    "settle": Kind("tally", running, settle),
    "record_step": Kind("step", running, record),
    "cancel": Kind("tally", running, lambda ledger, _: ledger.cancel("a", "ann", "why")),
    "redrive": Kind("tally", dead, lambda ledger, _: ledger.redrive("a", None, None, '{"n":2}')),
    "redrive, forgetting": Kind("step", stepped, forget),
    "add_redrive": Kind(
        "redrive", dead, lambda ledger, _: ledger.add_redrive(Redrive("one"), Named())
    ),
    "step_redrive": Kind("tally", redriving, lambda ledger, _: ledger.step_redrive("one")),
    "stop_redrive": Kind("redrive", redriving, lambda ledger, _: ledger.stop_redrive("one", "why")),
    "discard": Kind("tally", dead, lambda ledger, _: ledger.discard("a", "ann", None)),
    "enlist": Kind("worker", nothing, lambda ledger, _: ledger.enlist(Worker("w"), LEASE)),
    "extend": Kind("worker", waiting, lambda ledger, _: ledger.extend(["w"], 60 * SECOND)),
    "dismiss": Kind("worker", waiting, lambda ledger, _: ledger.dismiss("w")),
    "claim_reports": Kind("report", dead, lambda ledger, _: ledger.claim_reports(10, LEASE)),
    "reported": Kind("report", unreported, lambda ledger, ids: ledger.reported(ids)),
    "restore": Kind("tally", elsewhere, lambda ledger, copies: ledger.restore(copies)),
    "purge": Kind("task", finished, lambda ledger, before: ledger.purge(before, 10)),
    "ping": Kind("tally", nothing, lambda ledger, _: ledger.ping()),
}
