"""Seeded work on a ledger: everything that is ever done to one, drawn step by step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from typing import Any

from msgspec.structs import replace

from tests.conformance.stage import BOOM, OTHER, Clock, follow_up, submission
from tests.conformance.steps import settlement
from unlost.effects import Forget
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import (
    Claim,
    Claimed,
    Held,
    NewStep,
    Order,
    Query,
    Settled,
    Settlement,
    Submitted,
    Worker,
)
from unlost.policy import Limits
from unlost.task import SECOND, Micros, Outcome, Submission

Act = Callable[[Ledger], Awaitable[Any]]

WORKERS = (Worker("any"), Worker("solo", None, alone=True))
LEASE = 20 * SECOND
TASKS = 60  # beyond that no new ones: a run has to be quick to check


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a ledger.  `joins` names calls that may be done in one; `learn` is told what
    was answered."""

    act: Act
    joins: str = ""
    learn: Callable[[Any], None] = lambda answer: None


@dataclass
class Worked:
    """What somebody who works on a ledger knows, and what they do next."""

    chance: Random
    clock: Clock
    running: dict[str, Claimed | Held] = field(default_factory=dict)
    dead: list[str] = field(default_factory=list)
    reports: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = count(1)
        self._tokens = count(1)
        self._submitted: list[Submission] = []
        self._more = Random(self.chance.getstate()[1][0])  # for follow-ups

    async def look(self, ledger: Ledger) -> None:
        """Learn from the ledger itself, as after a reboot."""
        held = [one for worker in WORKERS for one in await ledger.held(worker.id)]
        self.running = {one.token: one for one in held}
        page = await ledger.page(Query(order=Order.DIED, limit=1_000))
        self.dead = [record.task_id for record in page.records]
        self.reports = []

    def steps(self) -> list[Step]:
        """What is done next, all of it at once."""
        self.clock.advance(self.chance.choice((0.001, 0.1, 0.5, 3.0)))
        if self.chance.random() < 0.25:
            return self._step() + self._step() + self._submit() + self._settle()
        return self._step()

    def _step(self) -> list[Step]:
        kinds = (
            self._submit, self._submit, self._submit, self._claim, self._claim, self._claim,
            self._settle, self._settle, self._settle, self._settle, self._act_on_task,
            self._act_on_dead, self._act_on_dead, self._report, self._purge, self._keep_alive,
            self._record, self._record,
        )  # fmt: skip
        return self.chance.choice(kinds)()

    def _submit(self) -> list[Step]:
        new = [self._new() for _ in range(self.chance.randint(1, 4))]

        def learn(answers: list[Submitted]) -> None:
            self._submitted += new

        return [Step(lambda ledger: ledger.submit(new), "submit", learn)]

    def _new(self) -> Submission:
        chance = self.chance
        if len(self._submitted) >= TASKS or (self._submitted and chance.random() < 0.2):
            return chance.choice(self._submitted)
        size = chance.choice((1, 1, 100, 3_000, 20_000))
        return submission(
            f"t{next(self._ids) if chance.random() < 0.95 else 1}",
            '{"x":"' + "y" * size + '"}',
            type=chance.choice(("default", "mail")),
            priority=chance.choice((0, 0, 5)),
            delay=chance.choice((0.0, 0.0, 2.0)),
            max_retries=chance.choice((None, 0, 1)),
        )

    def _claim(self) -> list[Step]:
        worker = self.chance.choice((*WORKERS[:1] * 3, WORKERS[1]))
        return self.claiming(worker, self.chance.randint(1, 8))

    def claiming(self, worker: Worker, most: int) -> list[Step]:
        """Have a worker claim."""
        tokens = [f"token-{next(self._tokens)}" for _ in range(most)]
        claim = Claim(worker.id, tokens, None, Limits(2, 60.0), worker.alone)

        def learn(claimed: list[Claimed] | object) -> None:
            if isinstance(claimed, list):
                self.running |= {one.token: one for one in claimed}

        enlist = Step(lambda ledger: ledger.enlist(worker, LEASE))
        return [enlist, Step(lambda ledger: ledger.claim(claim), "", learn)]

    def _settle(self) -> list[Step]:
        chosen = [one for one in self.running.values() if self.chance.random() < 0.7]
        return [self.settling([self._ending(one) for one in chosen])] if chosen else []

    def settling(self, endings: Sequence[Settlement]) -> Step:
        """End these attempts."""

        def learn(answers: list[Settled]) -> None:
            for ending, answer in zip(endings, answers, strict=True):
                self.running.pop(ending.token, None)
                if ending.event == "die" or answer is Settled.CONFLICT:
                    self.dead.append(ending.task_id)

        return Step(lambda ledger: ledger.settle(endings), "settle", learn)

    def _ending(self, attempt: Claimed | Held) -> Settlement:
        chance = self.chance
        outcome = chance.choice(
            (Outcome.SUCCEEDED, Outcome.FAILED, Outcome.FAILED, Outcome.RELEASED, Outcome.LOST)
        )
        final, wait = chance.random() < 0.3, chance.choice((0.0, 0.5, 2.0))
        result = '"' + "r" * chance.choice((1, 5_000)) + '"'
        error, asks = chance.choice((BOOM, OTHER)), chance.random() < 0.2
        end = settlement(attempt, outcome, error, wait, final, result, asks)
        if outcome is not Outcome.SUCCEEDED or self._more.random() < 0.6:
            return end
        new = [submission(f"{attempt.task_id}.{n}") for n in range(self._more.randint(1, 2))]
        if self._more.random() < 0.3:  # it is there alike, or in conflict
            new.append(submission("shared", self._more.choice(("{}", "{}", '{"n":1}'))))
        return replace(end, submit=tuple(follow_up(attempt, task) for task in new))

    def _record(self) -> list[Step]:
        """Have running attempts record steps, some of a name that is recorded already."""
        chance = self.chance
        chosen = [one for one in self.running.values() if chance.random() < 0.5]
        names, sizes = ("charge", "mail", "ship"), (1, 1, 100, 6_000)
        return [
            self._recording(one, chance.choice(names), '"' + "s" * chance.choice(sizes) + '"')
            for one in chosen
        ]

    def _recording(self, attempt: Claimed | Held, name: str, result: str) -> Step:
        new = NewStep(attempt.task_id, attempt.token, name, result)
        return Step(lambda ledger: ledger.record_step(new), "record")

    def _act_on_task(self) -> list[Step]:
        if not self._submitted:
            return []
        task_id = self.chance.choice(self._submitted).task_id
        return [Step(lambda ledger: ledger.cancel(task_id, "ann", "because"))]

    def _act_on_dead(self) -> list[Step]:
        if not self.dead:
            return []
        task_id, act = self.chance.choice(self.dead), self.chance.random()
        if act < 0.2:
            return [Step(lambda ledger: ledger.discard(task_id, "ann", None))]
        payload = self.chance.choice((None, '{"edited":true}'))
        told: tuple[Forget | None, ...] = (None, None, True, ("charge", "never"), ())
        forget = self.chance.choice(told)
        return [Step(lambda ledger: ledger.redrive(task_id, None, "again", payload, forget=forget))]

    def _report(self) -> list[Step]:
        if self.reports and self.chance.random() < 0.7:
            done, self.reports = self.reports, []
            return [Step(lambda ledger: ledger.reported(done))]
        learn = partial(setattr, self, "reports")
        return [
            Step(
                lambda ledger: ledger.claim_reports(3, SECOND),
                "",
                lambda found: learn([report.id for report in found]),
            )
        ]

    def _purge(self) -> list[Step]:
        before: Micros = self.clock.now - 2 * SECOND
        return [Step(lambda ledger: ledger.purge(before, 3))]

    def _keep_alive(self) -> list[Step]:
        worker = self.chance.choice(WORKERS).id
        if self.chance.random() < 0.3:
            return [Step(lambda ledger: ledger.dismiss(worker, expired=True))]
        return [Step(lambda ledger: ledger.extend([worker], LEASE)), Step(_ping)]


async def _ping(ledger: Ledger) -> None:
    await ledger.ping()
