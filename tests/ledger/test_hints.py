"""Hints between processes: who listens is found, at once."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from unlost.ledger.hints import Hints, _folder
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
