"""What does not pass by itself under a SQLite ledger: told as what it is, with what to do."""

from __future__ import annotations

import errno
from pathlib import Path

import apsw
import httpx
import pytest

from tests.conformance.stage import submission
from tests.faults.machine import Call, Fault, Machine, all_is_well
from unlost.api.app import create_app
from unlost.ledger.opening import open_ledger, wall_clock
from unlost.ledger.protocol import LedgerUnavailable, LedgerUnfit
from unlost.ledger.sqlite import SqliteLedger
from unlost.ledger.sqlite.connection.faults import meaning
from unlost.settings import Settings

LASTING = {
    Fault.FULL: ("has no space left", "free space on its disk"),
    Fault.FAIL: ("cannot use its disk", "look at the system's log"),
}


@pytest.mark.parametrize("fault", LASTING)
async def test_a_disk_that_does_not_write_is_told_as_that_until_it_does(
    machine: Machine, fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    words, cure = LASTING[fault]
    ledger = SqliteLedger(machine.folder / "ledger.db", wall_clock)
    machine.plan = lambda call, _: fault if call is Call.WRITE else None
    with pytest.raises(LedgerUnfit, match=cure) as refused:
        await ledger.submit([submission("a")])
    assert refused.value.words == words
    transport = httpx.ASGITransport(create_app(ledger, Settings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        answers = [await api.get("/readyz")]
        answers += [await api.post("/tasks", json={"taskId": "a", "payload": {}}) for _ in "abc"]
        assert {one.status_code for one in answers} == {503}
        assert all(f"the ledger {words}" in one.json()["detail"] for one in answers)
        (told,) = [vars(one) for one in caplog.records]
        assert cure in told["why"]
        machine.plan = all_is_well
        assert (await api.post("/tasks", json={"taskId": "a", "payload": {}})).status_code == 202
    await ledger.close()


async def test_a_file_that_is_damaged_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = await open_ledger(f"sqlite:///{path}")
    await ledger.submit([submission(f"t{number}") for number in range(500)])
    await ledger.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))

    async def use() -> None:
        ledger = await open_ledger(f"sqlite:///{path}")
        try:
            await ledger.submit([submission("new")])
        finally:
            await ledger.close()

    with pytest.raises(LedgerUnfit, match="restore a backup") as refused:
        await use()
    assert refused.value.words == "is damaged"


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (apsw.ReadOnlyError("x"), "is read-only"),
        (OSError(errno.EROFS, "x"), "is read-only"),
        (OSError(errno.ENOSPC, "x"), "has no space left"),
        (OSError(errno.EACCES, "x"), "may not write its file"),
        (apsw.CantOpenError("x"), "may not write its file"),
        (apsw.BusyError("x"), None),
        (OSError(errno.EINTR, "x"), None),
    ],
)
def test_the_faults_that_last_are_told_from_those_that_pass(
    fault: Exception, words: str | None
) -> None:
    error = meaning(fault)
    assert isinstance(error, LedgerUnavailable)
    assert isinstance(error, LedgerUnfit) == (words is not None)
    assert words is None or error.words == words
