"""What may be done to the SQLite ledger's files, and beside them, while it is in use."""

from __future__ import annotations

import os
from pathlib import Path

import apsw
import pytest

from tests.ledger.gone.files import submission
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.protocol import Ledger, LedgerGone, LedgerUnavailable
from unlost.ledger.sqlite import SqliteLedger


async def test_a_folder_that_cannot_be_looked_into_for_a_while_is_only_unavailable(
    tmp_path: Path, file: Path
) -> None:
    link = tmp_path / "link"
    lead(link, file.parent)
    ledger = await open_ledger(f"sqlite:///{link}/{file.name}")
    lead(link, link)  # a loop; as root, no right is missing anywhere
    with pytest.raises(LedgerUnavailable) as refused:
        await ledger.submit([submission("t")])
    assert not isinstance(refused.value, LedgerGone)
    lead(link, file.parent)
    await ledger.submit([submission("t")])
    await ledger.close()


def lead(link: Path, to: Path) -> None:
    """Have a link lead somewhere, without a moment in which there is none."""
    new = link.with_name("new")
    new.symlink_to(to)
    new.rename(link)


async def test_another_name_for_the_file_is_no_harm(ledger: Ledger, file: Path) -> None:
    os.link(file, file.parent / "other-name.db")
    await ledger.submit([submission("after")])
    file.unlink()
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("gone")])


async def test_a_link_counts_by_what_it_leads_to(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "current"
    link.symlink_to(file.parent)
    ledger = await open_ledger(f"sqlite:///{link}/{file.name}")
    await ledger.submit([submission("before")])
    link.unlink()
    (tmp_path / "next").mkdir()
    link.symlink_to(tmp_path / "next")  # the next start makes another ledger
    with pytest.raises(LedgerGone):
        await ledger.submit([submission("after")])
    await ledger.close()


async def test_a_ledger_under_two_names_has_one_lock(tmp_path: Path, ledger: Ledger) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(tmp_path / "home" / "ledger.db")
    other = await open_ledger(f"sqlite:///{link}")
    await other.submit([submission("by the link")])
    assert await ledger.get("by the link") is not None
    await other.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "link.db"]


async def test_a_later_change_of_folder_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = SqliteLedger(Path("ledger.db"), wall_clock)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await ledger.submit([submission("t")])
    await ledger.close()


async def test_what_others_may_do_beside_it_is_no_loss(
    ledger: Ledger, file: Path, tmp_path: Path
) -> None:
    stranger = apsw.Connection(str(file))
    stranger.execute(f"VACUUM INTO '{tmp_path}/copy.db'")
    with apsw.Connection(str(tmp_path / "backup.db")).backup("main", stranger, "main") as backup:
        backup.step()
    stranger.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    stranger.close()
    other = await open_ledger(f"sqlite:///{file}")
    await other.submit([submission("by another")])
    await other.close()
    file.chmod(0o600)
    await ledger.submit([submission("after")])
