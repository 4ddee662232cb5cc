"""Calls follow one another as the document's links say, on a real server and a real ledger.

After each call the ledger itself is asked what that has changed: what was answered with 2xx, and
nothing else.  Between calls a worker runs what is due, so that there are tasks of every state.
"""

from __future__ import annotations

import zlib
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import schemathesis

from tests.api.fuzz_rules import hasten, passed_over, schema
from tests.api.fuzzed import Fuzzed, fuzzed, in_sequence
from unlost.ledger.values import Claim, Claimed, Settlement, Worker
from unlost.policy import Limits, error
from unlost.task import SECOND, Event, Outcome, State, Submission

SCENARIOS = 15
STEPS = 40
WORKER = "0123456789abcdef"


async def begin(service: Fuzzed) -> None:
    """Let there be a worker, and some tasks of each fate."""
    await service.ledger.enlist(Worker(WORKER), 3600 * SECOND)
    await service.ledger.submit([Submission(f"t{number}", "{}", b"d") for number in range(12)])
    await work(service)


def fate(task: Claimed) -> Settlement:
    """What becomes of a task by its id: it succeeds, dies, or fails and waits for an hour."""
    draw = zlib.crc32(task.task_id.encode()) % 4
    if draw == 0:
        return Settlement(task.task_id, task.token, Outcome.SUCCEEDED, Event.SUCCEED, result="1")
    why = error("ValueError", f"of kind {draw}", "a traceback")
    event, wait = (Event.RETRY, 3600 * SECOND) if draw == 1 else (Event.DIE, 0)
    return Settlement(task.task_id, task.token, Outcome.FAILED, event, wait, why)


async def work(service: Fuzzed) -> None:
    """Run everything that is due."""
    while True:
        tokens = [f"{number:024x}" for number in range(50)]
        claimed = await service.ledger.claim(Claim(WORKER, tokens, None, Limits(2, 60.0)))
        if not claimed:
            return
        assert all(await service.ledger.settle([fate(task) for task in claimed]))


def changes(case: schemathesis.Case[Any], status: int, body: Any) -> list[dict[str, int]]:
    """What a call that was answered so may have changed."""
    match case.operation.label, status:
        case "POST /tasks", 202:
            return [{"accepted": 1, State.QUEUED: 1}]
        case "POST /tasks/batch", 200:
            return [{"accepted": body["accepted"], State.QUEUED: body["accepted"]}]
        case "POST /tasks/{taskId}/cancel", 200:
            waiting = (State.QUEUED, State.RETRYING)
            return [{}, *[{State.CANCELLED: 1, str(state): -1} for state in waiting]]
        case "POST /dead-letters/{taskId}/redrive", 202:
            return [{State.QUEUED: 1, State.DEAD: -1}]
        case "POST /dead-letters/redrive", 202:
            return [{State.QUEUED: body["redriven"], State.DEAD: -body["redriven"]}]
        case "POST /redrives", 201:
            return [{State.QUEUED: body["underWay"], State.DEAD: -body["underWay"]}]
        case "DELETE /dead-letters/{taskId}", 204:
            return [{}, {State.CANCELLED: 1, State.DEAD: -1}]
    return [{}]


BY_CHANCE = {
    f"{call} /schedules/{{scheduleId}}{step}"
    for call, step in (
        ("PUT", ""), ("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/run"),
    )
}  # fmt: skip
"""What may succeed or not: a drawn schedule is hardly ever a good one."""

WITHOUT_WORKERS = schema().exclude(path_regex=r"^/attempts")
"""Here all that is due is run between calls; what workers claim is in `test_fuzz_attempts`."""


class Calls(WITHOUT_WORKERS.as_state_machine()):  # type: ignore[misc]
    """Any sequence of calls; each begins with a service of its own."""

    folder: ClassVar[Path]
    seen: ClassVar[Counter[tuple[str, int]]]

    def setup(self) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(dir=self.folder))
            self.service = stack.enter_context(fuzzed(Path(folder)))
            self.service.ask(begin(self.service))
            self.ended = stack.pop_all()

    def teardown(self) -> None:
        self.ended.close()

    def get_call_kwargs(self, case: schemathesis.Case[Any]) -> dict[str, Any]:
        return {"base_url": self.service.url}

    def before_call(self, case: schemathesis.Case[Any]) -> None:
        hasten(case)
        self.before = self.service.sums()

    def after_call(self, response: Any, case: schemathesis.Case[Any]) -> None:
        super().after_call(response, case)
        label, status = case.operation.label, response.status_code
        body = response.json() if status in (200, 201, 202) and case.method == "POST" else None
        changed = self.service.sums()
        changed.subtract(self.before)
        assert any(changed == Counter(one) for one in changes(case, status, body)), (
            f"{label} was answered {status}, and changed {changed}"
        )
        self.seen[label, status] += 1
        self.service.ask(work(self.service))

    def validate_response(
        self, response: Any, case: schemathesis.Case[Any], *args: Any, **kwargs: Any
    ) -> None:
        case.validate_response(
            response,
            excluded_checks=passed_over(case),
            transport_kwargs=kwargs or None,
            recorder=self.recorder,
        )


def test_in_any_sequence_of_calls_what_is_answered_is_what_was_done(tmp_path: Path) -> None:
    class Here(Calls):
        folder = tmp_path
        seen: ClassVar[Counter[tuple[str, int]]] = Counter()

    Here.run(settings=in_sequence(SCENARIOS, STEPS))

    print(Here.seen)
    succeeded = {label for label, status in Here.seen if status < 300}
    assert succeeded - BY_CHANCE == {
        "POST /tasks", "POST /tasks/batch", "GET /tasks", "GET /tasks/{taskId}",
        "GET /tasks/{taskId}/why",
        "POST /tasks/{taskId}/cancel", "GET /dead-letters",
        "POST /dead-letters/{taskId}/redrive", "DELETE /dead-letters/{taskId}",
        "GET /types", "PATCH /types/{type}", "POST /types/{type}/pause",
        "POST /types/{type}/resume", "POST /dead-letters/redrive", "POST /redrives",
        "GET /redrives", "GET /redrives/{redriveId}", "POST /redrives/{redriveId}/stop",
        "GET /workers",
        "GET /schedules", "DELETE /schedules/{scheduleId}",
    }  # fmt: skip
