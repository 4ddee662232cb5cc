"""What is asked of the files beside the ledger on the way of a commit."""

from __future__ import annotations

import os
from pathlib import Path
from unittest.mock import Mock, call

import pytest

from unlost.ledger.opening import open_ledger
from unlost.ledger.sqlite.files import identity, statx
from unlost.ledger.sqlite.files.statx import look
from unlost.task import Submission


async def test_no_commit_asks_for_the_times_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who did would have each sync write its inode as well (see `statx`)."""
    by_stat, by_look = Mock(wraps=os.stat), Mock(wraps=look)
    monkeypatch.setattr(identity, "stat", by_stat)
    monkeypatch.setattr(identity, "look", by_look)
    ledger = await open_ledger(f"sqlite:///{tmp_path}/ledger.db")
    by_stat.reset_mock()
    for number in range(3):
        await ledger.submit([Submission(f"t{number}", "{}", b"d" * 32)])
    log, *others = (f"{tmp_path}/ledger.db{end}" for end in ("-wal", "", "-shm"))
    assert by_look.mock_calls.count(call(log)) == len(by_look.mock_calls) >= 3
    assert all(by_stat.mock_calls.count(call(path)) >= 3 for path in others)
    assert call(log) not in by_stat.mock_calls
    await ledger.close()


@pytest.mark.parametrize("how", ["by the system's call", "where there is none"])
def test_a_look_finds_what_stat_finds(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "where there is none":
        monkeypatch.setattr(statx, "_statx", None)
    path = tmp_path / "f\u00fcr\udcff"
    path.write_bytes(bytes(100_000))
    (tmp_path / "other").hardlink_to(path)
    status = path.stat()
    assert look(str(path)) == (status.st_dev, status.st_ino, 2, status.st_blocks)
    with pytest.raises(FileNotFoundError):
        look(f"{tmp_path}/none")
    with pytest.raises(NotADirectoryError):
        look(f"{path}/below")
