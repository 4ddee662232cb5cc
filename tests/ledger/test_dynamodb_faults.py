"""Unknown outcomes: whatever write is cut off, in whatever step, the step may be taken again."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.aws.emulator import Emulator
from tests.conformance.stage import Clock, Stage, must_add_up
from tests.ledger.dynamodb_steps import KINDS, Kind, Told, never
from tests.ledger.faulty import CutOff, Interfered, LostAnswer
from tests.ledger.patience import at_once, hurried
from tests.ledger.tables import Table
from unlost.ledger.dynamodb.connection.retrying import Retrying
from unlost.ledger.protocol import LedgerUnavailable, Refused
from unlost.ledger.values import Report

MOST_WRITES = 12

Course = tuple[Any, list[Any]]


class Trial:
    """One step on a table of its own, with something in the way."""

    def __init__(self, url: str) -> None:
        self.table = Table(url)
        self.clock = Clock()
        self.ledger = self.table.ledger(self.clock, announce=Told())

    async def before(self, kind: Kind) -> Any:
        await self.ledger.open()
        return await kind.before(Stage(self.ledger, self.clock, never))

    async def step(
        self, kind: Kind, needed: Any, client: Any, retrying: Retrying | None = None
    ) -> Any:
        ledger = self.table.ledger(self.clock, announce=Told(), client=client, retrying=retrying)
        try:
            return without_id(await kind.step(ledger, needed))
        finally:
            await ledger.close()

    async def end(self) -> list[Any]:
        """Everything in the table, but for what is random."""
        everything = sorted(map(stripped, filter(kept, self.table.items())), key=repr)
        await self.ledger.close()
        self.table.drop()
        return everything


def kept(item: dict[str, Any]) -> bool:
    """Whether an item is what steps leave, and not how the stream was counted."""
    pk = item["pk"]["S"]
    return pk != "counts" and not pk.startswith("seen#")


def stripped(item: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from run to run."""
    item = {name: value for name, value in item.items() if name != "op"}
    pk = item["pk"]["S"]
    if pk.startswith("report#"):
        item |= {"pk": "a report", "at": item["at"]["S"].rpartition("#")[0]}
    if item.get("o", {"S": ""})["S"].startswith("held#"):  # which token was for which task
        item |= {"at": item["at"]["S"].partition("#")[0], "token": "a token"}
    if pk.startswith("claim#"):  # it has the versions of tasks as they were read
        given = [one["L"][:2] for one in item["given"]["L"]]
        item |= {"given": sorted(given, key=repr)}
    return item


def without_id(answer: Any) -> Any:
    if isinstance(answer, list):
        return [without_id(one) for one in answer]
    return replace(answer, id=0) if isinstance(answer, Report) else answer


@pytest.fixture(scope="module")
def courses() -> dict[str, Course]:
    """How steps go that nothing disturbs."""
    return {}


@pytest.fixture
async def undisturbed(emulator: Emulator, courses: dict[str, Course], name: str) -> Course:
    """The answer of a step that nothing disturbs, and all that is in the table then."""
    if name not in courses:
        trial = Trial(emulator.url)
        needed = await trial.before(KINDS[name])
        answer = await trial.step(KINDS[name], needed, trial.table.client)
        await must_add_up(trial.ledger)
        courses[name] = answer, await trial.end()
    return courses[name]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("applied", [True, False])
async def test_a_step_that_was_cut_off_is_taken_again_and_ends_as_if_nothing_had_happened(
    emulator: Emulator, undisturbed: Course, name: str, applied: bool
) -> None:
    kind, (_, expected) = KINDS[name], undisturbed
    for at in range(MOST_WRITES):
        trial = Trial(emulator.url)
        needed = await trial.before(kind)
        client = CutOff(trial.table.client, at, applied=applied)
        try:
            await trial.step(kind, needed, client, at_once())
            failed = False
        except LedgerUnavailable:
            failed = True
        assert failed is client.happened
        if failed:
            try:
                await trial.step(kind, needed, trial.table.client)
            except Refused:
                assert applied, "what was not applied is not refused"
        assert await trial.end() == expected, f"write {at}"
        if not client.happened:
            return
    raise AssertionError("more writes than expected")


@pytest.mark.parametrize("name", KINDS)
async def test_a_try_that_was_applied_unseen_is_not_made_twice(
    emulator: Emulator,
    undisturbed: Course,
    interfered: Interfered,
    name: str,
) -> None:
    kind = KINDS[name]
    for at in range(MOST_WRITES):
        trial = Trial(emulator.url)
        needed = await trial.before(kind)
        interfered.interfere = lost = LostAnswer(at)
        answer = await trial.step(kind, needed, interfered.client, hurried())
        assert (answer, await trial.end()) == undisturbed, f"write {at}"
        if not lost.happened:
            return
    raise AssertionError("more writes than expected")
