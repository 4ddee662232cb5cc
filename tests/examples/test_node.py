"""The producer and worker for Node, started as their README says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from tests.docs.pages import ROOT
from tests.examples.commands import commands, copied, started, until
from tests.ports import free_port

CLIENT = ROOT / "clients" / "typescript"


def installed(folder: Path) -> None:
    """What `npm install` would bring."""
    modules = folder / "node_modules"
    (modules / "@unlost").mkdir(parents=True)
    (modules / "@unlost" / "client").symlink_to(CLIENT)
    for name in (".bin", "@types", "typescript", "undici-types"):
        (modules / name).symlink_to(CLIENT / "node_modules" / name)


def test_tasks_fail_are_retried_and_die_as_in_the_service(tmp_path: Path) -> None:
    folder, port = copied("node", tmp_path), free_port()
    installed(folder)
    service, program = commands("node")
    url = f"http://127.0.0.1:{port}"
    there = {"UNLOST_PORT": str(port), "UNLOST_URL": url, "UNLOST_BACKOFF_BASE": "0.01"}
    beside = tmp_path / "service"
    beside.mkdir()
    with started(service, beside, **there):
        until(lambda: httpx.get(f"{url}/readyz").status_code == 200, beside)
        with started(program.replace("npm install && ", ""), folder, **there) as process:
            assert process.wait(120) == 0, (folder / "said").read_text()
        said = (folder / "said").read_text()
        states = {state: int(count) for count, state in re.findall(r"(\d+) (succ\w+|dead)", said)}
        assert states["succeeded"] + states["dead"] == 100
        assert "-0: Reject: the payload asked to be rejected" in said
        stats = httpx.get(f"{url}/stats").json()
        assert stats["states"]["dead"] == states["dead"]

        def reported() -> bool:
            lines = (beside / "said").read_text().splitlines()
            records = [json.loads(line) for line in lines if line.startswith("{")]
            dead = [one for one in records if one["event"] == "task.dead_lettered"]
            return len({one["taskId"] for one in dead}) == states["dead"]

        until(reported, beside)
        tasks = httpx.get(f"{url}/tasks", params={"limit": 100}).json()["tasks"]
        [retried] = [one for one in tasks if one["taskId"].endswith("-1")]
        assert (retried["state"], retried["attemptCount"]) == ("succeeded", 3)
