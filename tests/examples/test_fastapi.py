"""The FastAPI application, started as its README says."""

from __future__ import annotations

import shlex
from pathlib import Path

import httpx

from tests.docs.pages import typed
from tests.docs.shell import curl
from tests.examples.commands import EXAMPLES, commands, copied, started, until
from tests.ports import free_port

README = EXAMPLES / "fastapi" / "README.md"


def test_it_answers_as_its_page_shows(tmp_path: Path) -> None:
    folder, port, shop = copied("fastapi", tmp_path), free_port(), free_port()
    service, application = commands("fastapi")
    url = f"http://127.0.0.1:{shop}"
    there = {"UNLOST_PORT": str(port), "UNLOST_URL": f"http://127.0.0.1:{port}"}
    with (
        started(service, folder, **there),
        started(application, folder, **there, UVICORN_PORT=str(shop)),
    ):
        until(lambda: httpx.get(f"{there['UNLOST_URL']}/readyz").status_code == 200, folder)
        until(lambda: httpx.get(f"{url}/orders/1").status_code == 404, folder)
        for command, shown in typed(README):
            words = shlex.split(command.replace("http://127.0.0.1:8000", url))
            if "succeeded" in shown:
                until(lambda words=words: "succeeded" in curl(words), folder)  # type: ignore[misc]
            assert curl(words) == shown, command
        tasks = httpx.get(f"{there['UNLOST_URL']}/tasks").json()["tasks"]
        assert [task["taskId"] for task in tasks] == ["invoice-1"]
