"""The course of a proof: injections while tasks are submitted and run, then none to the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from pathlib import Path

import msgspec

from unlost.audit import Audit, audit
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.protocol import Ledger
from unlost.ledger.values import Entry
from unlost.ledger.walking import pages
from unlost.prove import journal
from unlost.prove.fates import Fate, Rates, tree_killers
from unlost.prove.journal import Kind, Note
from unlost.prove.spec import Spec
from unlost.prove.submitting import Client, Job, Refusal
from unlost.prove.tree import CannotProve, Tree
from unlost.task import TERMINAL, Micros, State

LOOK = 0.05
"""Seconds between looks at the counts."""

STORM = 0.6
"""The share of the time limit after which the injections stop."""

REPORT_PATIENCE = 35.0
"""Seconds in which a death must be reported: a report's lease, and a little more."""

LOSSES = 0.5
"""The share of batches whose first answer is lost, where answers get lost at all."""

CRASHES = 5
"""Ends of the supervisor that nothing explains, after which there is no point in going on."""

FEW = 50
"""Tasks for which two workers do; each start of more costs time."""


class Plan(msgspec.Struct, frozen=True):
    """What is to be proved, with what, and for how long.  Times are seconds."""

    handler: str
    jobs: tuple[Job, ...]
    seed: int
    rates: Rates
    restarts: int = 2
    concurrency: int = 1
    max_retries: int = 10
    attempt_timeout: float = 10.0
    time_limit: float = 120.0

    @property
    def task_ids(self) -> list[str]:
        return [job.task_id for job in self.jobs]

    @property
    def settings(self) -> dict[str, object]:
        """How the service is set: as ever, but impatient."""
        return {
            "handler": "unlost.prove.injected:handlers",
            "host": "127.0.0.1",
            "port": 0,
            "workers": 2 if len(self.jobs) <= FEW else 4,
            "concurrency": self.concurrency,
            "max_retries": self.max_retries,
            "backoff_base": 0.02,
            "backoff_cap": 0.2,
            "attempt_timeout": self.attempt_timeout,
            "lease": 2,
            "grace": 4,
            "min_free": 0,
        }

    def spec(self, folder: Path) -> Spec:
        """What the worker processes are told."""
        killers = tree_killers(self.seed, self.task_ids, self.restarts)
        return Spec(self.handler, str(folder), self.seed, self.rates, killers)


class Evidence(msgspec.Struct, frozen=True):
    """What was there at the end: the ledger's entries and audit, the journal, what the client
    heard, the deaths in the log, and how the supervisor ended where nobody had killed it."""

    entries: list[Entry]
    audit: Audit
    notes: list[Note]
    acknowledged: frozenset[str]
    refusals: list[Refusal]
    new_at_replay: list[str]
    answers_lost: int
    reported: frozenset[str]
    crashes: list[int]
    ended_at: Micros
    seconds: float


class Progress(msgspec.Struct, frozen=True):
    """How far it is."""

    seconds: float
    states: dict[State, int]
    generation: int
    calm: bool


Tell = Callable[[Progress], None]


async def run(plan: Plan, folder: Path, tell: Tell) -> Evidence:
    """Run the whole course, with everything in `folder`; no process is left then.

    Raises CannotProve, LedgerUnavailable.
    """
    began = time.monotonic()
    ledger_url = f"sqlite:///{folder / 'ledger.db'}"
    spec = plan.spec(folder)
    tree = Tree(folder, spec, plan.settings | {"ledger": ledger_url})
    loss = LOSSES if plan.rates.lost_answers else 0.0
    client = Client(lambda: tree.place, plan.seed, loss)
    ledger = await open_ledger(ledger_url)
    course = Course(plan, folder, tree, client, ledger, tell)
    try:
        await course.run()
    finally:
        client.stop()
        await asyncio.to_thread(tree.close)
        await ledger.close()
    entries, found = await read(ledger_url)
    return Evidence(
        entries=entries,
        audit=found,
        notes=journal.read(spec.journal),
        acknowledged=frozenset(client.acknowledged),
        refusals=client.refusals,
        new_at_replay=client.new_at_replay,
        answers_lost=client.answers_lost,
        reported=reported(folder),
        crashes=course.crashes,
        ended_at=wall_clock(),
        seconds=time.monotonic() - began,
    )


async def read(ledger_url: str) -> tuple[list[Entry], Audit]:
    """All entries of a ledger, and its audit.  Raises LedgerUnavailable, NotALedger."""
    ledger = await open_ledger(ledger_url, must_exist=True)
    try:
        walk = pages(ledger.entries, attrgetter("position"))
        return [entry async for page in walk for entry in page], await audit(ledger)
    finally:
        await ledger.close()


class _Line(msgspec.Struct, rename="camel"):
    event: str = ""
    task_id: str = ""


def reported(folder: Path) -> frozenset[str]:
    """The tasks whose death the monitor has logged."""
    decode = msgspec.json.Decoder(_Line).decode
    with (folder / "log.ndjson").open("rb") as lines:
        deaths = [decode(line) for line in lines if b'"task.dead_lettered"' in line]
    return frozenset(one.task_id for one in deaths if one.event == "task.dead_lettered")


class Course:
    """One run, step by step.  `crashes` has the exit statuses that nothing injected explains."""

    def __init__(
        self, plan: Plan, folder: Path, tree: Tree, client: Client, ledger: Ledger, tell: Tell
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._spec = plan.spec(folder)
        self._tree = tree
        self._client = client
        self._ledger = ledger
        self._tell = tell
        self._began = time.monotonic()
        self._calm = False
        self.crashes: list[int] = []

    async def run(self) -> None:
        """Storm, calm, and the end in order."""
        limit = self._began + self._plan.time_limit
        await self._start()
        submitting = asyncio.create_task(asyncio.to_thread(self._client.submit, self._plan.jobs))
        if not await self._settled(submitting, self._began + self._plan.time_limit * STORM):
            await asyncio.to_thread(self._tree.kill)
            self._calm = True
            await self._start()
            await self._settled(submitting, limit)
        self._calm = True
        if submitting.done():
            await self._replay(limit)
        self._client.stop()
        await submitting
        await self._all_reported(limit)
        await asyncio.to_thread(self._tree.stop)

    async def _start(self) -> None:
        await asyncio.to_thread(self._tree.start, calm=self._calm)

    async def _settled(self, submitting: asyncio.Task[None], until: float) -> bool:
        """Wait until all tasks are in and have ended, starting again what was killed."""
        while time.monotonic() < until:
            if await self._over() and submitting.done():
                return True
            await self._look_after_tree()
            await asyncio.sleep(LOOK)
        return False

    async def _over(self) -> bool:
        counts = await self._ledger.counts()
        passed = time.monotonic() - self._began
        self._tell(Progress(passed, counts.states, self._tree.generation, self._calm))
        ended = sum(counts.states.get(state, 0) for state in TERMINAL)
        return counts.accepted == ended

    async def _look_after_tree(self) -> None:
        """Start the tree again if it is gone; that it is must have been an injection."""
        status = self._tree.exit_status()
        if status is None:
            return
        notes = journal.read(self._spec.journal)
        if not _was_killed(notes, self._tree.generation):
            self.crashes.append(status)
            if len(self.crashes) > CRASHES:
                raise CannotProve(f"the service ended again and again, with status {status}")
        await self._start()

    async def _replay(self, limit: float) -> None:
        replaying = asyncio.create_task(asyncio.to_thread(self._client.replay, self._plan.jobs))
        await self._settled(replaying, max(limit, time.monotonic() + 1))
        self._client.stop()
        await replaying

    async def _all_reported(self, limit: float) -> None:
        """Wait until the monitor has reported every death, which may take a report's lease."""
        until = min(limit, time.monotonic() + REPORT_PATIENCE)
        while time.monotonic() < until:
            counts = await self._ledger.counts()
            if len(reported(self._folder)) >= counts.states.get(State.DEAD, 0):
                return
            await self._look_after_tree()
            await asyncio.sleep(LOOK)


def _was_killed(notes: Sequence[Note], generation: int) -> bool:
    """Whether the tree of this generation was killed on purpose."""
    return any(
        note.generation == generation
        and (note.kind is Kind.RESTART or note.what == Fate.TREE_KILLED)
        for note in notes
        if note.kind in (Kind.STRUCK, Kind.RESTART)
    )
