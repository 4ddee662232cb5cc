"""What followed from a task, on the command line."""

from __future__ import annotations

import json

from tests.cli.conftest import Command, http_to, ndjson
from tests.cli.running import running
from unlost import Handlers, Task

handlers = Handlers()


@handlers.task("order")
async def order(task: Task) -> None:
    task.submit({}, f"{task.id}/pack", type="pack")
    task.submit({}, f"{task.id}/mail", type="pack")


@handlers.task("pack")
async def pack(task: Task) -> None:
    pass


def test_a_task_is_shown_with_its_parent_and_what_followed(unlost: Command) -> None:
    with running(handlers=handlers) as place, http_to(place.url) as http:
        client = Command(unlost.folder, {"UNLOST_URL": place.url})
        http.process(ndjson({"taskId": "a", "payload": {}, "type": "order"}))
        http.settle()
        shown = client("task", "a").out
        assert "FOLLOW-UP" in shown
        assert shown.index("a/pack") < shown.index("a/mail")
        assert "\nparent " in client("task", "a/pack").out
        assert "FOLLOW-UP" not in client("task", "a/pack").out
        assert json.loads(client("task", "a/pack", "--json").out)["parent"] == "a"
        found = json.loads(client("tasks", "--parent", "a", "--json").out)
        assert [task["taskId"] for task in found["tasks"]] == ["a/mail", "a/pack"]
        assert client("tasks", "--parent", "").status == 2
