"""Hints between processes: who listens is found, at once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from unlost.ledger.hints import LATER, Hints, _folder
from unlost.ledger.values import Transition
from unlost.task import State


async def test_a_listener_is_seen_though_it_comes_in_the_same_tick_as_a_look(
    tmp_path: Path,
) -> None:
    """A file system's times may be coarse: a folder changes twice, and its time but once."""
    teller = Hints(tmp_path / "ledger.db")
    teller.look()
    assert not teller.watched()
    tick = teller._folder.stat().st_mtime_ns
    async with teller.transitions() as told:
        os.utime(teller._folder, ns=(tick, tick))
        teller.look()
        assert teller.watched()
        event = Transition("t", "default", State.QUEUED, 0, 1)
        teller.publish([event])
        assert await anext(told) == [event]
    teller.look()
    assert not teller.watched()
    teller.close()


async def test_a_wake_up_reaches_every_process_that_waits(tmp_path: Path) -> None:
    first, second = (Hints(tmp_path / "ledger.db") for _ in range(2))
    await first.wait(0)
    await second.wait(0)
    first.look()
    first.wake()
    for hints in (first, second):
        waker = hints._waker
        assert waker is not None
        await waker.wait(10)
        assert waker.drain() == [b""]
        hints.close()


async def test_one_who_claims_is_woken_first_and_all_others_after_it(tmp_path: Path) -> None:
    """A wake-up that comes first comes before what it is about can be seen."""
    teller, looks, claims, other = (Hints(tmp_path / "ledger.db") for _ in range(4))
    for hints in (claims, other):
        hints.race.begin(None)
        hints.race.end(hinted=False, found=False)
    for hints in (looks, claims, other):
        await hints.wait(0)
    teller.look()
    for _ in range(2):
        teller.wake_first(frozenset({"mail"}))
        firsts = [hints for hints in (looks, claims, other) if _heard(hints)]
        assert len(firsts) == 1
        assert firsts[0] is not looks
        teller.wake(frozenset({"mail"}))
        assert [hints for hints in (looks, claims, other) if _heard(hints)] == [
            hints for hints in (looks, claims, other) if hints is not firsts[0]
        ]
    for hints in (looks, claims, other, teller):
        hints.close()


async def test_nobody_is_woken_first_where_nobody_claims(tmp_path: Path) -> None:
    looks, teller = (Hints(tmp_path / "ledger.db") for _ in range(2))
    await looks.wait(0)
    teller.look()
    teller.wake_first()
    assert not _heard(looks)
    teller.wake()
    assert _heard(looks)
    for hints in (looks, teller):
        hints.close()


async def test_who_lost_the_last_race_follows_later_unless_it_is_woken_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        teller.wake(frozenset({"other"}))

    hints, teller = (Hints(tmp_path / "ledger.db") for _ in range(2))
    hints.race.begin(None)
    hints.race.end(hinted=True, found=False)
    await hints.wait(0)
    teller.look()
    monkeypatch.setattr("unlost.ledger.hints.asyncio.sleep", sleep)
    teller.wake(frozenset({"mail"}))
    assert await hints.wait(10) == frozenset({"mail", "other"})
    assert slept == [LATER]
    teller.wake_first(frozenset({"mail"}))
    assert await hints.wait(10) == frozenset({"mail"})
    assert slept == [LATER]
    for one in (hints, teller):
        one.close()


async def test_who_is_woken_first_while_it_follows_another_hint_later_does_not_look_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look would find nothing before the commit, and nobody would tell it again."""

    async def sleep(_: float) -> None:
        teller.wake_first(frozenset({"mail"}))

    hints, teller = (Hints(tmp_path / "ledger.db") for _ in range(2))
    hints.race.begin(None)
    hints.race.end(hinted=True, found=False)
    await hints.wait(0)
    teller.look()
    monkeypatch.setattr("unlost.ledger.hints.asyncio.sleep", sleep)
    teller.wake()
    assert await hints.wait(10) is None
    assert not hints.race.looks_first(hinted=hints.race.begin(None))
    for one in (hints, teller):
        one.close()


def _heard(hints: Hints) -> list[bytes]:
    assert hints._waker is not None
    return hints._waker.drain()


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    hints = Hints(tmp_path / "ledger.db")
    await hints.wait(0)
    folder = hints._folder
    hints.close()
    assert not folder.exists()


@pytest.mark.parametrize("look", ["lstat", "iterdir"])
async def test_a_folder_that_its_last_listener_has_just_removed_is_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    last = Hints(tmp_path / "ledger.db")
    looks = getattr(Path, look)

    def just_before(path: Path) -> object:
        monkeypatch.undo()
        last.close()
        return looks(path)

    monkeypatch.setattr(Path, look, just_before)
    hints = Hints(tmp_path / "ledger.db")
    await hints.wait(0)
    hints.look()
    hints.wake()
    assert hints._waker is not None
    await hints._waker.wait(10)
    assert hints._waker.drain() == [b""]
    hints.close()


def test_the_sockets_are_in_a_folder_of_this_account_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = _folder(tmp_path / "ledger.db")
    assert folder.stat().st_mode & 0o777 == 0o700

    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)  # somebody else was there before
    with pytest.raises(OSError, match="belongs to somebody else"):
        _folder(tmp_path / "ledger.db")


async def test_that_a_redrive_begins_reaches_those_who_step_them_and_no_worker(
    tmp_path: Path,
) -> None:
    steps, works = (Hints(tmp_path / "ledger.db") for _ in range(2))
    await steps.begun(0)
    await works.wait(0)
    folder = steps._folder
    steps.look()
    steps.begin()
    assert steps._stepper is not None
    await steps._stepper.wait(10)
    assert steps._stepper.drain() == [b""]
    assert works._waker is not None
    assert works._waker.drain() == []
    for hints in (steps, works):
        hints.close()
    assert not folder.exists()
