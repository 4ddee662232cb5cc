"""No report of `unlost prove` has a marked secret in it, whatever the tasks and settings hold."""

from __future__ import annotations

import json
from pathlib import Path

from tests.process.marked import HOOK, KEY, PASSWORD, PAYLOAD, SIGNING, clean
from tests.prove.proving import command, only

SETTINGS = {
    "UNLOST_LEDGER": f"postgresql://ann:{PASSWORD}@127.0.0.1:1/tasks",
    "UNLOST_WEBHOOK_SECRET": f"whsec_{SIGNING}",
    "UNLOST_WEBHOOK_URL": f"http://127.0.0.1:9/{HOOK}",
    "UNLOST_API_KEY": KEY,
}


def test_no_report_has_a_secret(tmp_path: Path) -> None:
    unlost = command(tmp_path)
    task = {"maxRetries": 0, "payload": {"card": {"number": PAYLOAD}}}
    tasks = [task | {"taskId": f"{kind}-1", "type": kind} for kind in ("once", "fails", "prints")]
    (tmp_path / "tasks.ndjson").write_text("\n".join(map(json.dumps, tasks)))
    words = ("prove", "--handler", "prove_app:handlers", "--tasks", "tasks.ndjson", *only("kills"))
    result = unlost.fed(b"", *words, "--json", "--html", "report.html", **SETTINGS)
    assert "fails-1" in result.out
    clean(result.out, "the report")
    clean(result.err, "what it says meanwhile")
    page = (tmp_path / "report.html").read_text()
    assert "fails-1" in page
    clean(page, "the page")
