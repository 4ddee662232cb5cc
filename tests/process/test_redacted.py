"""Values that are not to be shown: masked wherever a task is, whole for those who work with it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process.service import UNLOST, Service, service
from tests.webhooks.receiver import SECRET, receiving
from unlost.telemetry.redaction import MASK

MARKED = "4111-marked-1111"
CARD = {"number": MARKED, "holder": "ann"}
POINTERS = "/card/number,/lines/*/price"


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    monkeypatch.setenv("UNLOST_WEBHOOK_SECRET", SECRET)
    async with service(
        tmp_path, "serve", handler="process_app:handlers", redact=POINTERS, max_retries=0,
        webhook_allow_private=True, backoff_base=0.01,
    ) as running:  # fmt: skip
        yield running


def seen(running: Service, task_id: str) -> list[dict[str, Any]]:
    """The payloads that the handler got."""
    lines = (running.folder / f"{task_id}.seen").read_text().splitlines()
    return [json.loads(line) for line in lines]


def unlost(running: Service, *command: str) -> str:
    done = subprocess.run(
        [UNLOST, *command], capture_output=True, text=True, check=True, cwd=running.folder
    )
    return done.stdout + done.stderr


async def test_it_is_shown_nowhere_and_handlers_and_webhooks_get_it(
    running: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    async with (
        receiving(*["204 No Content"] * 3) as receiver,
        httpx.AsyncClient(base_url=running.ready.split()[-1]) as api,
    ):

        async def call(method: str, path: str, **given: Any) -> httpx.Response:
            answer = await api.request(method, path, **given)
            shown.append(answer.text)
            return answer

        new = {"type": "charges", "payload": {"card": CARD, "lines": [{"price": 5}]}}
        for task_id, more in (("good", {}), ("bad", {"fails": True})):
            task = {**new, "payload": {**new["payload"], **more}, "taskId": task_id}  # type: ignore[dict-item]
            answer = await call("POST", "/tasks", json=task | {"callbackUrl": receiver.url})
            assert answer.json()["payload"]["card"] == {"number": MASK, "holder": "ann"}
            assert answer.json()["payload"]["lines"] == [{"price": MASK}]
            assert (
                await call("POST", "/tasks", json=task | {"callbackUrl": receiver.url})
            ).is_success
            await running.ended(task_id)
        await receiver.got(2)
        good = (await call("GET", "/tasks/good")).json()
        assert good["result"] == {"card": {"number": MASK, "holder": "ann"}, "ok": True}
        for path in (
            "/tasks?include=payload,result,attempts,traceback",
            "/dead-letters?include=payload,result,attempts,traceback",
            "/tasks/bad", "/stats", "/audit", "/metrics", "/types", "/workers",
            "/dead-letters/groups",
        ):  # fmt: skip
            assert (await call("GET", path)).status_code == 200

        letter = (await call("GET", "/tasks/bad")).json()["payload"]
        letter["fails"] = False
        again = await call("POST", "/dead-letters/bad/redrive", json={"payload": letter})
        assert again.status_code == 202
        await running.ended("bad")
        await receiver.got(3)
        told = [request.verified() for request in receiver.requests]
    assert seen(running, "bad") == [
        {"card": CARD, "lines": [{"price": 5}], "fails": fails} for fails in (True, False)
    ]
    results = [one["data"].get("result") for one in told if one["type"] == "task.succeeded"]
    assert results == [{"card": CARD, "ok": True}] * 2

    monkeypatch.setenv("UNLOST_REDACT", POINTERS)
    monkeypatch.setenv("UNLOST_LEDGER", f"sqlite:///{tmp_path}/ledger.db")
    here = ("--ledger", f"sqlite:///{tmp_path}/ledger.db")
    shown += [unlost(running, "task", "bad", *here, *more) for more in ([], ["--json"])]
    export = unlost(running, "export")
    dead_line = [line for line in running.log() if line["event"] == "task.dead_lettered"]
    assert [line["payload"]["card"]["number"] for line in dead_line] == [MASK]
    for text in (*shown, export, running.stdout()):
        assert MARKED not in text
    assert MARKED in unlost(running, "export", "--whole")


async def test_an_export_with_masks_is_no_ledgers_to_take(running: Service, tmp_path: Path) -> None:
    await running.submit("t", payload=json.dumps({"card": CARD}), type="nobody")
    url = f"sqlite:///{tmp_path}/ledger.db"
    out = str(tmp_path / "masked.ndjson")
    unlost(running, "export", "--ledger", url, "--redact", POINTERS, "--out", out)
    taken = subprocess.run(
        [UNLOST, "import", out, "--ledger", f"sqlite:///{tmp_path}/other.db"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert taken.returncode == 1
    assert "--whole" in taken.stderr
