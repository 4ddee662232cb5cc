"""What goes wrong on AWS, done to the deployed system: nothing is lost, attempts are right."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.aws.stack import NAME, Stack, until


@pytest.fixture(scope="module")
def shop(stack: Stack) -> Iterator[Stack]:
    """The stack with somebody's own handlers, which stand in its package."""
    with stack.configured("process", UNLOST_HANDLER="shop:handlers"):
        yield stack
    audit = stack.unlost("audit", "--ledger", stack.outputs["Ledger"])
    assert audit.returncode == 0, audit.stdout + audit.stderr


def error_of(task: dict[str, Any]) -> str:
    return f"{task['error']['type']}: {task['error']['message']}"


def test_ones_own_handlers_run_and_what_they_print_is_logged(shop: Stack) -> None:
    shop.submit("packed", {"order": 7}, type="order.pack")
    task = shop.finished(["packed"])["packed"]
    assert task["result"] == {"packed": 7, "attempt": 1}
    printed = [line for line in shop.log("process") if line.get("event") == "handler.output"]
    assert ("packed", "packing 7") in {(each["taskId"], each["text"]) for each in printed}


def test_handlers_may_do_with_aws_what_their_role_lists_and_no_more(shop: Stack) -> None:
    table, dead = {"TableName": NAME}, shop.outputs["DeadLetterQueueUrl"]
    asked = {
        "scan": ("dynamodb", "scan", table),
        "drop": ("dynamodb", "delete_table", table),
        "list": ("dynamodb", "query", {
            **table, "IndexName": "submitted", "KeyConditionExpression": "s = :s",
            "ExpressionAttributeValues": {":s": {"S": "00"}},
        }),
        "eat": ("sqs", "receive_message", {"QueueUrl": dead}),
        "purge": ("sqs", "purge_queue", {"QueueUrl": shop.outputs["QueueUrl"]}),
        "grow": ("lambda", "list_functions", {}),
    }  # fmt: skip
    for task_id, (service, operation, arguments) in asked.items():
        payload = {"service": service, "operation": operation, "arguments": arguments}
        shop.submit(task_id, payload, type="order.spy")
    for task_id, task in shop.finished(asked).items():
        assert task["state"] == "dead", (task_id, task["result"])
        assert "AccessDenied" in error_of(task), task_id


def test_a_hanging_handler_is_timed_out_within_its_run(shop: Stack) -> None:
    shop.submit("hanging", {}, type="order.hang")
    task = shop.finished(["hanging"])["hanging"]
    assert [each["outcome"] for each in task["attempts"]] == ["timed_out"]


@pytest.fixture(scope="module")
def accidents(shop: Stack) -> dict[str, dict[str, Any]]:
    """A function killed in the middle of an attempt, one that Lambda itself ends, and others."""
    neighbours = [f"neighbour-{number}" for number in range(4)]
    with shop.unscheduled():
        with shop.throttled("process"):
            shop.submit("crash", {}, type="order.crash")
            for task_id in neighbours:
                shop.submit(task_id, {"order": 1}, type="order.pack")
        until(lambda: shop.call("GET", "/tasks/crash")["state"] == "running")
        shop.submit("block", {}, type="order.block")
        until(lambda: shop.call("GET", "/tasks/block")["state"] == "running")
        return shop.finished(["crash", "block", *neighbours], 150, sweeping=True)


class TestAccidents:
    @pytest.mark.parametrize("task_id", ["crash", "block"])
    def test_the_attempt_counts_and_is_told_as_lost(
        self, shop: Stack, accidents: dict[str, dict[str, Any]], task_id: str
    ) -> None:
        task = accidents[task_id]
        assert (task["state"], task["attemptCount"]) == ("dead", 1)
        assert task["attempts"][0]["outcome"] == "lost"
        assert task["error"]["type"] == "WorkerLost"
        until(lambda: any(line.get("taskId") == task_id for line in shop.log("monitor")))

    def test_its_neighbours_lose_nothing(self, accidents: dict[str, dict[str, Any]]) -> None:
        for task_id, task in accidents.items():
            if task_id.startswith("neighbour"):
                assert task["state"] == "succeeded"
                assert task["attemptCount"] == 1


def test_while_it_is_throttled_tasks_wait_and_repeated_messages_cost_nothing(
    shop: Stack,
) -> None:
    ids = [f"throttled-{number}" for number in range(5)]
    with shop.throttled("process"):
        for task_id in ids:
            shop.submit(task_id, {"order": 2}, type="order.pack")
        for task_id in ids * 3:
            shop.aws("sqs").send_message(
                QueueUrl=shop.outputs["QueueUrl"], MessageBody=json.dumps({"taskId": task_id})
            )
        states = {shop.call("GET", f"/tasks/{task_id}")["state"] for task_id in ids}
        assert states == {"queued"}
    shop.finished(ids)
    until(lambda: shop.messages("QueueUrl", "") == 0)
    for task in shop.finished(ids).values():
        assert (task["state"], task["attemptCount"]) == ("succeeded", 1)


def test_a_message_that_is_not_ours_ends_in_the_log_and_in_the_ledger(shop: Stack) -> None:
    sent = shop.aws("sqs").send_message(
        QueueUrl=shop.outputs["QueueUrl"], MessageBody="who is there?"
    )["MessageId"]
    shop.submit("beside", {"order": 3}, type="order.pack")
    assert shop.finished(["beside"])["beside"]["state"] == "succeeded"
    until(lambda: any(sent in str(line) for line in shop.log("monitor")))
    kept = shop.aws("dynamodb").get_item(
        TableName=NAME, Key={"pk": {"S": "unparseable"}, "sk": {"S": sent}}
    )["Item"]
    assert "who is there?" in str(kept)


class TestAlarms:
    def test_what_alarms_watch_is_what_the_sweep_measures(self, stack: Stack) -> None:
        stack.sweep()
        measured = {
            (each["Namespace"], metric["Name"], line["service"])
            for line in until(lambda: [each for each in stack.log("sweep") if "_aws" in each])
            for each in line["_aws"]["CloudWatchMetrics"]
            for metric in each["Metrics"]
            if ["service"] in each["Dimensions"]
        }
        alarms = stack.aws("cloudwatch").describe_alarms(AlarmNamePrefix=NAME)["MetricAlarms"]
        watched = {
            (each["Namespace"], each["MetricName"], each["Dimensions"][0]["Value"])
            for each in alarms
            if each["Namespace"] == "Unlost"
        }
        assert watched
        assert watched <= measured

    def test_dead_letters_raise_one(self, stack: Stack) -> None:
        """The number is ours: the emulator makes no metrics of log lines."""
        stack.aws("cloudwatch").put_metric_data(
            Namespace="Unlost",
            MetricData=[
                {
                    "MetricName": "deadLetters",
                    "Dimensions": [{"Name": "service", "Value": NAME}],
                    "Value": 2,
                }
            ],
        )

        def raised() -> bool:
            name = f"{NAME}-dead-letters"
            [alarm] = stack.aws("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
            return bool(alarm["StateValue"] == "ALARM")

        until(raised)
