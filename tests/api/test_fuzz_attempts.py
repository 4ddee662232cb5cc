"""Workers' calls follow one another by the links of the document, from claims on: what was claimed
is settled, extended, its steps recorded, in any order and again.

After each call the ledger is asked what that has changed: what was answered, and nothing else.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import schemathesis
from schemathesis import GenerationMode

from tests.api.fuzz_rules import MOMENT, passed_over, schema
from tests.api.fuzzed import fuzzed, in_sequence
from unlost.task import State, Submission

SCENARIOS = 9
STEPS = 12
DUE = 3
"""Tasks that are due of each type before a claim."""

CALLS = schema().include(path_regex=r"^/attempts|/extend$")

MORE: dict[str, list[dict[str, Any]]] = {
    "succeeded": [
        {}, {"result": None}, {"result": "x" * 70_000}, {"submit": []}, {"submit": 1},
        {"submit": [{"payload": {}}]}, {"submit": [{"taskId": "f", "payload": {"n": 1}}]},
        {"submit": [{"taskId": "f", "payload": {"n": 2}}]}, {"error": {"type": "E"}},
    ],
    "failed": [
        {}, {"reject": True}, {"excused": True}, {"retryAfterSeconds": 1e6}, {"error": {}},
        {"retryAfterSeconds": -1}, {"error": {"type": ""}}, {"result": 1},
    ],
    "released": [{}, {"retryAfterSeconds": 5}, {"excused": True}, {"outcome": "lost"}],
}  # fmt: skip
"""What may be sent beside an outcome, right and wrong."""

VALUES: list[Any] = [{}, None, 0, "x" * 70_000, [[[]]], {"a": 1}]


class Calls(CALLS.as_state_machine()):  # type: ignore[misc]
    """Any sequence of these calls; each begins with a service of its own."""

    folder: ClassVar[Path]
    seen: ClassVar[Counter[tuple[str, int]]]

    def setup(self) -> None:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(dir=self.folder))
            self.service = stack.enter_context(fuzzed(Path(folder)))
            self.ended = stack.pop_all()
        self.random = Random(1)
        self.running: set[str] = set()  # tokens
        self.followed: set[str] = set()
        self.ended_so: dict[str, str] = {}  # what was told of tokens

    def teardown(self) -> None:
        self.ended.close()

    def get_call_kwargs(self, case: schemathesis.Case[Any]) -> dict[str, Any]:
        return {"base_url": self.service.url}

    def before_call(self, case: schemathesis.Case[Any]) -> None:
        if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
            self._change(case.path, case.body)
        self.before = self.service.sums()

    def _change(self, path: str, body: Any) -> None:
        """What is right is sent in more ways than a link says."""
        if path == "/attempts/claim":
            self._before_claim(body)
        elif path == "/attempts/settle":
            self._vary(body["attempts"])
        elif path == "/attempts/steps":
            body["result"] = self.random.choice(VALUES)

    def _before_claim(self, body: dict[str, Any]) -> None:
        """Let something be due of what it asks for, and let it not wait."""
        made = [
            Submission(f"t{self.random.getrandbits(64)}", "{}", b"d", one)
            for one in body["types"][:3]
            for _ in range(DUE)
        ]
        self.service.ask(self.service.ledger.submit(made))
        options = body.get("options", {})
        body["options"] = {name: one for name, one in options.items() if name in body["types"]}
        body["wait"] = min(body.get("wait", 0), MOMENT)

    def _vary(self, items: list[Any]) -> None:
        """In some calls an end that was told before comes again, or another one."""
        if self.ended_so and self.random.random() < 0.5:
            token, outcome = self.random.choice([*self.ended_so.items()])
            items.append({"token": token, "outcome": self.random.choice([outcome, *MORE])})
        for item in items:
            if isinstance(item, dict) and item.get("outcome") in [*MORE]:
                item.update(self.random.choice(MORE[item["outcome"]]))

    def after_call(self, response: Any, case: schemathesis.Case[Any]) -> None:
        super().after_call(response, case)
        changed = self.service.sums()
        changed.subtract(self.before)
        body = response.json() if response.status_code == 200 else {}
        told = self._told(body, case.body)
        assert {name: n for name, n in changed.items() if n} == told, (
            f"{case.operation.label} was answered {response.status_code}, and changed {changed}"
        )
        self.seen[case.operation.label, response.status_code] += 1

    def _told(self, body: dict[str, Any], sent: Any) -> dict[str, int]:
        """What has changed, as far as the answer says of what was sent."""
        told: Counter[str] = Counter()
        for one in body.get("attempts", ()):
            if one["token"] not in self.running:
                self.running.add(one["token"])
                told.update({State.RUNNING.value: 1, State.QUEUED.value: -1})
        for place, one in enumerate(body.get("results", ())):
            self.seen["a result", one["status"]] += 1
            if one["token"] in self.running and "state" in one:
                self.running.remove(one["token"])
                self.ended_so[one["token"]] = sent["attempts"][place]["outcome"]
                told.update({State.RUNNING.value: -1, one["state"]: 1})
                if one["state"] == State.SUCCEEDED:
                    told.update(self._followed(sent["attempts"][place].get("submit", ())))
        return {name: n for name, n in told.items() if n}

    def _followed(self, tasks: list[dict[str, Any]]) -> dict[str, int]:
        """What has followed; an id that is there already is the same task."""
        new = [one for one in tasks if one.get("taskId") not in self.followed]
        self.followed |= {one["taskId"] for one in new if "taskId" in one}
        return {"accepted": len(new), State.QUEUED.value: len(new)}

    def validate_response(
        self, response: Any, case: schemathesis.Case[Any], *args: Any, **kwargs: Any
    ) -> None:
        case.validate_response(
            response,
            excluded_checks=passed_over(case),
            transport_kwargs=kwargs or None,
            recorder=self.recorder,
        )


def test_what_workers_are_told_by_the_links_is_what_was_done(tmp_path: Path) -> None:
    class Here(Calls):
        folder = tmp_path
        seen: ClassVar[Counter[tuple[str, int]]] = Counter()

    Here.run(settings=in_sequence(SCENARIOS, STEPS))

    print(Here.seen)
    assert {label for label, status in Here.seen if status == 200} >= {
        "POST /attempts/claim", "POST /attempts/settle", "POST /attempts/steps",
        "POST /workers/{worker}/extend",
    }  # fmt: skip
    assert {status for label, status in Here.seen if label == "a result"} >= {200, 422}
