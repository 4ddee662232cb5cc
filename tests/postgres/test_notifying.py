"""Hints by NOTIFY: they wake other ledgers, come seldom, and are done without where they can't."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from tests.conformance.stage import Clock, Stage, submission
from tests.postgres.databases import Database
from tests.postgres.proxy import Proxy
from tests.process.service import until
from unlost.ledger.opening import open_ledger
from unlost.ledger.postgres.hints.listening import Hints
from unlost.ledger.postgres.hints.telling import APART, DUE, NOTIFY_BEHIND
from unlost.ledger.values import Transition
from unlost.redrive import Named, Redrive
from unlost.task import State

PATIENCE = 20.0
HOUR = 3_600.0


async def test_a_submit_wakes_a_ledger_elsewhere_at_once(alone: Stage) -> None:
    other = await alone.another()
    async with other.transitions():  # it listens from here on
        await other.wait(0)
        waiting = asyncio.create_task(other.wait(PATIENCE))
        await asyncio.sleep(0)
        begun = time.monotonic()
        await alone.submit("a")
        await waiting
    assert time.monotonic() - begun < PATIENCE / 4


async def test_who_lost_the_last_race_follows_a_little_later(
    alone: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("unlost.ledger.postgres.hints.listening.LATER", 0.1)
    late, follow = list[Hints](), Hints._follow

    def followed(hints: Hints) -> None:
        late.append(hints)
        follow(hints)

    monkeypatch.setattr(Hints, "_follow", followed)
    stage = Stage(await alone.another(), alone.clock, alone.another)
    await stage.ledger.wait(PATIENCE)  # it listens from here on

    async def heard(task_id: str) -> float:
        waiting = asyncio.create_task(stage.ledger.wait(PATIENCE))
        await asyncio.sleep(0)
        begun = time.monotonic()
        await alone.submit(task_id)
        assert await waiting == frozenset({"default"})
        return time.monotonic() - begun

    await heard("a")
    await alone.claim(worker="another")
    assert await stage.claim() == []
    assert await heard("b") >= 0.1
    assert len(late) == 1
    assert len(await stage.claim()) == 1
    await heard("c")
    assert len(late) == 1


async def test_that_a_redrive_begins_reaches_those_who_step_them_whom_no_submit_wakes(
    alone: Stage,
) -> None:
    steps, works = await alone.another(), await alone.another()
    async with asyncio.timeout(PATIENCE):
        for hears in (steps.begun, works.wait):
            await hears(HOUR)  # it listens from here on
        woken = steps._hints._local._woken  # type: ignore[attr-defined]
        woken.clear()
        await alone.submit("a")
        await works.wait(HOUR)
        await alone.ledger.add_redrive(Redrive("one"), Named())
        await steps.begun(HOUR)
        assert woken == []


async def test_who_steps_redrives_and_then_works_hears_of_both(alone: Stage) -> None:
    other = await alone.another()
    async with asyncio.timeout(PATIENCE):
        await other.begun(HOUR)
        await other.wait(0)
        await other.begun(HOUR)  # it listens to both from here on
        await other.wait(0)
        await alone.submit("a")
        assert await other.wait(HOUR) == frozenset({"default"})
        await alone.ledger.add_redrive(Redrive("one"), Named())
        await other.begun(HOUR)


async def test_who_closes_as_it_begins_to_listen_to_more_leaves_nobody_listening(
    alone: Stage,
) -> None:
    other = await alone.another()
    async with asyncio.timeout(PATIENCE):
        await other.begun(HOUR)  # it listens from here on
    hints = other._hints  # type: ignore[attr-defined]
    hints._listen(DUE)
    await other.close()
    assert [one for one in hints._listening if not one.done()] == []
    assert hints._listening[0] not in asyncio.all_tasks()


async def test_what_is_due_much_later_wakes_nobody(alone: Stage) -> None:
    other = await alone.another()
    async with other.transitions():
        await other.wait(0)
        waiting = asyncio.create_task(other.wait(0.3))
        await asyncio.sleep(0)
        begun = time.monotonic()
        await alone.submit("a", delay=60)
        await waiting
    assert time.monotonic() - begun >= 0.29


async def test_notifications_are_few_however_many_submits_there_are(
    alone: Stage, database: Database
) -> None:
    other = await alone.another()
    with database.connect() as listener:
        listener.execute("LISTEN unlost_due")
        async with other.transitions():  # who ends at once, but hears
            pass
        begun = time.monotonic()
        for number in range(100):
            await alone.submit(f"t{number}")
        spent = time.monotonic() - begun
        await asyncio.sleep(0.05)
        heard = len(list(listener.notifies(timeout=0.2)))
    assert 1 <= heard <= spent / APART + 3


async def test_nobody_is_woken_where_nobody_hears(alone: Stage, database: Database) -> None:
    other = await database.ledger()
    with database.connect() as listener:
        listener.execute("LISTEN unlost_due")
        async with other.transitions():
            await alone.submit("a")
        assert [heard.channel for heard in listener.notifies(timeout=5, stop_after=1)] == [DUE]
        await other.close()
        await alone.submit("b")
        await asyncio.sleep(0.05)
        assert list(listener.notifies(timeout=0.2)) == []


async def test_what_the_server_warns_of_a_hint_is_no_warning_of_the_commit_before_it(
    alone: Stage, database: Database
) -> None:
    await (await alone.another()).wait(PATIENCE)  # it hears from here on
    with database.connect() as db, db.transaction():
        assert len(db.execute(NOTIFY_BEHIND, ["for nobody"]).fetchall()) == 1
        assert db.execute("SHOW client_min_messages").fetchall() == [("error",)]


async def test_nothing_is_told_where_nobody_watches(alone: Stage, database: Database) -> None:
    hearing = asyncio.create_task(alone.ledger.wait(PATIENCE))
    with database.connect() as listener:
        await until(lambda: bool(listener.execute("SELECT FROM unlost.watcher").fetchall()))
        listener.execute("LISTEN unlost_moved")
        await alone.submit("a")
        await asyncio.sleep(0.05)
        assert list(listener.notifies(timeout=0.2)) == []
    hearing.cancel()


async def test_long_names_are_told_whole(alone: Stage) -> None:
    other = await alone.another()
    ids = [f"{number:03}" + "😀" * 250 for number in range(30)]
    async with other.transitions() as events:
        await alone.submit(*ids)
        seen: list[Transition] = []
        async with asyncio.timeout(PATIENCE):
            async for batch in events:
                seen += batch
                if len(seen) >= len(ids):
                    break
    assert [transition.task_id for transition in seen] == ids


async def test_hints_come_again_after_the_listening_connection_was_lost(
    alone: Stage, database: Database
) -> None:
    other = await alone.another()
    async with other.transitions() as events:
        with database.connect() as killer:
            killer.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        async with asyncio.timeout(PATIENCE):
            number = 0
            heard = asyncio.ensure_future(anext(aiter(events)))
            while not heard.done():
                await alone.submit(f"t{number}")
                number += 1
                await asyncio.wait([heard], timeout=0.05)
    assert heard.result()[0].state is State.QUEUED


async def test_behind_a_pooler_waits_are_short_and_the_log_says_so_once(
    database: Database,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unlost.ledger.postgres.hints.session.PATIENCE", 0.2)
    monkeypatch.setattr("unlost.ledger.postgres.hints.listening.AFTER_SILENCE", 0.1)
    async with Proxy(database.url) as proxy:
        proxy.deaf = True
        ledger = await open_ledger(proxy.url, clock)
        with caplog.at_level(logging.WARNING):
            async with ledger.transitions() as events, asyncio.timeout(PATIENCE):
                await ledger.wait(PATIENCE * 2)
                await ledger.submit([submission("a")])
                assert (await anext(aiter(events)))[0].task_id == "a"
                await asyncio.sleep(0.7)
        said = [record for record in caplog.records if record.message == "ledger.no_listen"]
        assert len(said) == 1
        await ledger.close()
