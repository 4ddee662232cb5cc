"""Marked secrets, in all places where secrets are, searched in all that a service gives out."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import psutil
import pytest

from tests.process.marked import (
    BODY,
    HEADER,
    HOOK,
    KEY,
    PASSWORD,
    PAYLOAD,
    SIGNING,
    clean,
    told,
)
from tests.process.service import Service, service
from tests.process.test_traces import collector
from tests.webhooks.receiver import receiving

HEADERS = {
    "Authorization": f"Bearer {KEY}",
    "Cookie": f"session={HEADER}",
    "X-Api-Key": HEADER,
    "User-Agent": HEADER,
    "Referer": f"http://127.0.0.1/?{HEADER}",
    "traceparent": f"00-{HEADER}",
    "tracestate": f"unlost={HEADER}",
}

REFUSED = [
    ("POST", "/tasks", f'{{"taskId": "x", "payload": {{"secret": "{BODY}"}}'),
    ("POST", "/tasks", f'{{"taskId": "x", "payload": "{BODY}"}}'),
    ("POST", "/tasks", f'{{"taskId": "x", "payload": {{}}, "priority": "{BODY}"}}'),
    ("POST", "/tasks", f'{{"taskId": "x", "payload": {{}}, "callbackUrl": "ftp://{BODY}@x"}}'),
    ("POST", "/tasks", f'{{"taskId": "x", "payload": {{}}, "runAt": "{BODY}"}}'),
    ("POST", "/tasks", f'{{"taskId": "x", "payload": {{"a": "{BODY}", "a": 1}}}}'),
    ("POST", "/tasks", f'{{"taskId": "good", "payload": {{"other": "{BODY}"}}}}'),
    ("POST", "/tasks/batch", f'{{"tasks": ["{BODY}", {{"taskId": "y", "payload": "{BODY}"}}]}}'),
    ("POST", "/tasks/batch", f'{{"tasks": "{BODY}"}}'),
    ("POST", "/dead-letters/bad/redrive", f'{{"payload": ["{BODY}"]}}'),
    ("POST", "/dead-letters/redrive", f'{{"all": "{BODY}"}}'),
    ("PATCH", "/types/t", f'{{"limit": "{BODY}"}}'),
    ("GET", f"/tasks?limit={BODY}", ""),
    ("GET", f"/tasks?cursor={BODY}", ""),
    ("GET", f"/nowhere?api_key={BODY}", ""),
    ("PUT", f"/tasks?api_key={BODY}", ""),
]


async def asked(running: Service) -> None:
    """Tasks with secrets run, die, are shown and refused; no answer has a secret in it."""
    url = running.ready.split()[-1]
    async with httpx.AsyncClient(base_url=url, headers=HEADERS) as api:
        payload = {"card": {"number": PAYLOAD}}
        for task_id, more in (("good", {}), ("bad", {"fails": True})):
            task = {"taskId": task_id, "type": "charges", "payload": payload | more}
            clean((await api.post("/tasks", json=task)).text, "the answer to a submit")
            await running.ended(task_id)
        for method, path, body in REFUSED:
            answer = await api.request(
                method, path, content=body, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code >= 400 or "rejected" in answer.text, (method, path, body)
            clean(answer.text.replace(path.split("?")[0], ""), f"{method} {path} {body}")
            clean(str(answer.headers), f"headers of {method} {path}")
        for path in (
            "/tasks?include=payload,result,attempts,traceback", "/tasks/good", "/tasks/bad",
            "/dead-letters", "/dead-letters/groups", "/stats", "/audit", "/types", "/workers",
            "/metrics", "/livez", "/readyz", "/openapi.json", "/docs", "/",
        ):  # fmt: skip
            clean((await api.get(path)).text, path)


async def test_no_secret_gets_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLOST_WEBHOOK_SECRET", f"whsec_{SIGNING}")
    async with receiving(*["204 No Content"] * 2) as receiver:
        monkeypatch.setenv("UNLOST_WEBHOOK_URL", f"http://127.0.0.1:{receiver.port}/{HOOK}")
        with collector() as (endpoint, spans):
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
            async with service(
                tmp_path, "serve", handler="process_app:handlers", redact="/card/number,/other",
                max_retries=0, webhook_allow_private=True, otel="true",
            ) as running:  # fmt: skip
                await asked(running)
                await receiver.got(2)
                everybody = [psutil.Process(pid).cmdline() for pid in running.everyone()]
                clean(json.dumps(everybody), "the process list")
                url = running.ready.split()[-1]
                monkeypatch.setenv("UNLOST_REDACT", "/card/number,/other")
                here = ("--ledger", f"sqlite:///{tmp_path}/ledger.db")
                clean(told(tmp_path, "doctor", *here), "doctor")
                clean(told(tmp_path, "audit", *here), "audit")
                clean(told(tmp_path, "export", *here), "export")
                clean(told(tmp_path, "stats", "--url", url, "--api-key", KEY), "stats")
                clean(told(tmp_path, "dead", "show", "bad", "--url", url), "dead show")
                assert await running.stop() == 0
            assert spans
            clean(str(spans), "traces")
        clean(running.stdout(), "the log")
        assert running.process.stderr is not None
        clean(running.process.stderr.read() if not running.process.stderr.closed else "", "stderr")


@pytest.mark.parametrize("command", ["serve", "doctor", "audit", "export"])
def test_a_databases_password_is_not_repeated(tmp_path: Path, command: str) -> None:
    for url in (
        f"postgresql://ann:{PASSWORD}@127.0.0.1:1/tasks",
        f"postgresql://ann:{PASSWORD}@[::1/tasks",
        f"postgres//ann:{PASSWORD}@x",
        f"postgres:ann:{PASSWORD}@x",
        f"nothing://ann:{PASSWORD}@x/y",
    ):
        said = told(tmp_path, command, "--ledger", url)
        assert said
        clean(said, f"{command} --ledger {url}")


@pytest.mark.parametrize("name", ["WEBHOOK_SECRET", "WEBHOOK_URL"])
def test_a_wrong_secret_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(f"UNLOST_{name}", f"wrong {HOOK}")
    for command in ("serve", "doctor"):
        said = told(tmp_path, command)
        assert "UNLOST_" in said or "webhook" in said
        clean(said, command)


async def test_a_key_is_told_nowhere_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    here = ("--ledger", f"sqlite:///{tmp_path}/ledger.db")
    secret = tmp_path / "key"
    secret.write_text(KEY)
    made = ("key", "create", *here, "--scope", "submit,read,operate", "--name", "app")
    clean(told(tmp_path, *made, "--secret-file", str(secret)), "key create")
    async with service(tmp_path, "serve", auth="keys", failure_rate=0) as running:
        url = running.ready.split()[-1]
        wrong = KEY[:-1] + "z"
        for key, status in ((KEY, 200), (wrong, 401), (KEY.upper(), 401)):
            headers = {"Authorization": f"Bearer {key}"}
            async with httpx.AsyncClient(base_url=url, headers=headers) as api:
                for path in ("/tasks", "/stats", "/audit", "/metrics", "/workers", "/types"):
                    answer = await api.get(path)
                    assert answer.status_code == status, (path, key)
                    clean(answer.text + str(answer.headers), path)
                answer = await api.post("/tasks", json={"taskId": "t", "payload": {}})
                clean(answer.text, "a submit")
                clean((await api.post("/types/t/pause", json={"by": "ann"})).text, "an act")
        clean((await _get(url, f"/stats?api_key={KEY}")).text, "a key in a query")
        await running.ended("t")
        everybody = [psutil.Process(pid).cmdline() for pid in running.everyone()]
        clean(json.dumps(everybody), "the process list")
        for command in (("key", "list"), ("doctor",), ("audit",), ("export", "--whole")):
            clean(told(tmp_path, *command, *here), " ".join(command))
        clean(told(tmp_path, "stats", "--url", url, "--api-key", f"@{secret}"), "stats")
        assert await running.stop() == 0
    clean(running.stdout(), "the log")
    assert "api.acted" in running.stdout()
    for file in tmp_path.glob("ledger.db*"):
        clean(file.read_bytes().decode("latin-1"), file.name)


async def _get(url: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=url) as api:
        return await api.get(path)
