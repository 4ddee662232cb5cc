"""The deployed system from outside: submitted to at its public URL, watched as people watch it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.aws.stack import PARAMS, Call, Stack, new_key, tally, until
from unlost.chance import fraction

RETRIES = 2
CHANCE = [f"chance-{number:03}" for number in range(60)]
DOOMED = [f"doomed-{number}" for number in range(3)]
# As text, because it must come back as it went in.
DOOMED_PAYLOAD = '{"order": 12345678901234567890.10, "simulate": {"outcome": "fail"}}'


@pytest.fixture(scope="module")
def story(stack: Stack) -> dict[str, dict[str, Any]]:
    """Tasks that fail by chance and some that always do, brought to their end; by id."""
    lines = [json.dumps({"taskId": task_id, "payload": {"n": 1}}) for task_id in CHANCE]
    lines += [f'{{"taskId": "{task_id}", "payload": {DOOMED_PAYLOAD}}}' for task_id in DOOMED]
    submitted = stack.unlost("submit", "-", stdin="\n".join(lines))
    assert submitted.returncode == 0, submitted.stderr
    return stack.finished([*CHANCE, *DOOMED])


def seconds(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def chance_of(task_id: str) -> tuple[str, int]:
    """How the task must end, and after how many attempts."""
    seed, rate = PARAMS["seed"], PARAMS["failureRate"]
    assert isinstance(seed, int)
    assert isinstance(rate, float)
    for number in range(1, RETRIES + 2):
        if fraction(seed, task_id, number) >= rate:
            return "succeeded", number
    return "dead", RETRIES + 1


class TestStory:
    def test_each_task_ends_as_its_attempts_decide(self, story: dict[str, dict[str, Any]]) -> None:
        ended = {task_id: (task["state"], task["attemptCount"]) for task_id, task in story.items()}
        assert ended == {
            **{task_id: chance_of(task_id) for task_id in CHANCE},
            **dict.fromkeys(DOOMED, ("dead", RETRIES + 1)),
        }

    def test_a_retry_waits_for_its_backoff_and_little_longer(
        self, story: dict[str, dict[str, Any]]
    ) -> None:
        for task in story.values():
            for number, (failed, then) in enumerate(
                zip(task["attempts"], task["attempts"][1:], strict=False), 1
            ):
                full = min(4.0, 2.0 * 2 ** (number - 1))
                assert full / 2 <= seconds(failed["finishedAt"], failed["nextAttemptAt"]) <= full
                # SQS counts whole seconds. A sweep would be a minute late.
                assert 0 <= seconds(failed["nextAttemptAt"], then["startedAt"]) < 10

    def test_a_dead_task_is_reported_in_cloudwatch_once_with_payload_and_error(
        self, stack: Stack, story: dict[str, dict[str, Any]]
    ) -> None:
        dead = {task_id for task_id, task in story.items() if task["state"] == "dead"}
        assert dead >= set(DOOMED)

        def reports() -> list[dict[str, Any]]:
            lines = stack.log("monitor")
            return [line for line in lines if line.get("event") == "task.dead_lettered"]

        until(lambda: {line["taskId"] for line in reports()} >= dead)
        assert sorted(line["taskId"] for line in reports()) == sorted(dead)
        for line in reports():
            task = story[line["taskId"]]
            assert line["payload"] == task["payload"]
            assert line["error"]["type"] == "SimulatedFailure"
            assert line["error"]["message"] == task["error"]["message"]
            assert line["attemptCount"] == RETRIES + 1
        until(lambda: stack.messages("DeadLetterQueueUrl") == 0)

    def test_a_payload_is_logged_to_its_last_digit(
        self, stack: Stack, story: dict[str, dict[str, Any]]
    ) -> None:
        texts = [line for line in stack.lines("monitor") if DOOMED[0] in line]
        assert any("12345678901234567890.10" in text for text in texts)

    def test_the_sums_hold(self, stack: Stack, story: dict[str, dict[str, Any]]) -> None:
        dead = sum(task["state"] == "dead" for task in story.values())

        def counted() -> bool:
            stats = stack.call("GET", "/stats")
            assert stats["lost"] == 0
            return bool(
                stats["accepted"] == len(story)
                and stats["states"]["succeeded"] == len(story) - dead
                and stats["states"]["dead"] == dead
                and stats["outstanding"] == 0
            )

        until(counted)
        audit = stack.unlost("audit", "--ledger", stack.outputs["Ledger"], "--json")
        assert audit.returncode == 0, audit.stdout + audit.stderr
        assert json.loads(audit.stdout)["lost"] == 0


def test_a_dead_letter_is_redriven_with_a_mended_payload(
    stack: Stack, story: dict[str, dict[str, Any]]
) -> None:
    task_id = DOOMED[0]
    body = {"payload": {"simulate": {"outcome": "succeed"}}}
    stack.call("POST", f"/dead-letters/{task_id}/redrive", body)
    task = until(
        lambda: (
            (task := stack.call("GET", f"/tasks/{task_id}?wait=5"))["state"] == "succeeded" and task
        )
    )
    assert task["redriveCount"] == 1
    assert task["payload"] == body["payload"]
    assert [each["outcome"] for each in task["attempts"]] == ["failed"] * 3 + ["succeeded"]


def test_a_worker_elsewhere_has_what_is_marked_for_it(stack: Stack) -> None:
    stack.call("PATCH", "/types/elsewhere", {"pull": True})
    # By then each function knows of the mark.
    task = {"taskId": "pulled", "type": "elsewhere", "payload": {}, "delaySeconds": 6}
    stack.call("POST", "/tasks", task)
    claim = {"claim": "claim-0123456789", "worker": "w", "types": ["elsewhere"], "wait": 20}
    [mine] = stack.call("POST", "/attempts/claim", claim)["attempts"]
    assert stack.call("POST", "/attempts/claim", claim)["attempts"] == [mine]
    token = mine["token"]
    beat = {"leaseSeconds": 60, "tokens": [token]}
    assert stack.call("POST", "/workers/w/extend", beat) == {"gone": []}
    step = {"token": token, "name": "step", "result": 7}
    assert stack.call("POST", "/attempts/steps", step) == {"kept": True}
    end = {"attempts": [{"token": token, "outcome": "succeeded", "result": 1}]}
    for _ in range(2):
        [settled] = stack.call("POST", "/attempts/settle", end)["results"]
        assert (settled["status"], settled["state"]) == (200, "succeeded")
    assert stack.call("POST", "/workers/w/extend", beat)["gone"][0]["state"] == "succeeded"
    shown = stack.call("GET", "/tasks/pulled")
    assert [each["outcome"] for each in shown["attempts"]] == ["succeeded"]


def test_a_death_that_a_worker_elsewhere_brings_is_told_at_once(stack: Stack) -> None:
    stack.call("PATCH", "/types/elsewhere", {"pull": True})
    stack.submit("killed", {}, type="elsewhere", maxRetries=0)
    claim = {"claim": "claim-0123456780", "worker": "w", "types": ["elsewhere"], "wait": 20}
    [mine] = stack.call("POST", "/attempts/claim", claim)["attempts"]
    assert mine["taskId"] == "killed"
    error = {"type": "Broken", "message": "no"}
    end = {"attempts": [{"token": mine["token"], "outcome": "failed", "error": error}]}
    [settled] = stack.call("POST", "/attempts/settle", end)["results"]
    assert (settled["status"], settled["state"]) == (200, "dead")
    # Without its message the sweep would tell of it, after minutes.
    until(lambda: [one for one in stack.log("monitor") if one.get("taskId") == "killed"], 30)


class TestKeys:
    def test_only_who_has_a_key_with_the_scope_may(self, stack: Stack) -> None:
        refused = stack.ask("GET", "/stats", key="")
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Bearer")
        assert stack.ask("GET", "/stats", key="unlost_made_up").status_code == 401
        submits = new_key(stack, "submit")
        task = {"taskId": "keyed", "payload": {"simulate": {"outcome": "succeed"}}}
        # A new key holds within 5 s: a process asks for an unknown one once a second.
        until(lambda: stack.ask("POST", "/tasks", task, key=submits).status_code == 202, 5)
        assert stack.ask("GET", "/tasks/keyed", key=submits).json()["submittedBy"] == "submit"
        assert stack.ask("GET", "/tasks", key=submits).status_code == 403
        assert stack.ask("POST", "/dead-letters/keyed/redrive", key=submits).status_code == 403
        assert stack.ask("GET", "/livez", key="").status_code == 200

    def test_the_command_line_works_with_url_and_key(
        self, stack: Stack, story: dict[str, dict[str, Any]]
    ) -> None:
        shown = stack.unlost("task", CHANCE[0], "--url", stack.url, "--api-key", stack.key)
        assert shown.returncode == 0, shown.stderr
        assert CHANCE[0] in shown.stdout
        refused = stack.unlost("stats", "--url", stack.url, "--api-key", "unlost_made_up")
        assert refused.returncode == 1


def test_a_successful_task_costs_three_writes_and_one_message(stack: Stack) -> None:
    ids = [f"cheap-{number}" for number in range(20)]
    with stack.recorded() as calls:
        for task_id in ids:
            payload = {"simulate": {"outcome": "succeed"}}
            stack.call("POST", "/tasks", {"taskId": task_id, "payload": payload})
        stack.finished(ids)
    writes = [write for call in calls for write in written(call)]
    of_tasks = [key for key in writes if key.startswith("t#cheap-")]
    # Submitted, claimed, settled: each once, or the trail would have holes.
    assert len(of_tasks) == 3 * len(ids), tally(calls)
    sent = sum(
        len(call.parameters.get("Entries", [None]))
        for call in calls
        if call.service == "sqs" and call.action.startswith("SendMessage")
    )
    assert sent == len(ids), tally(calls)


def written(call: Call) -> Iterator[str]:
    """The partition keys of the items that a call to DynamoDB writes."""
    if call.service != "dynamodb":
        return
    asked = call.parameters
    if call.action in ("PutItem", "UpdateItem", "DeleteItem"):
        yield (asked.get("Item") or asked["Key"])["pk"]["S"]
    for item in asked.get("TransactItems", ()):
        for write in item.values():
            yield (write.get("Item") or write["Key"])["pk"]["S"]
