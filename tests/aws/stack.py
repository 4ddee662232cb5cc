"""The whole system as `osls deploy` puts it in an account, and what a person does with it there."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import httpx

from tests.aws.emulator import REGION, Emulator
from tests.aws.osls import run_osls

STAGE = "test"
NAME = f"unlost-{STAGE}"
# Short, so that what must run out does so while a test waits.
PARAMS: dict[str, object] = {
    "build": "local",
    "source": str(Path(__file__).with_name("shop")),
    "failureRate": 0.3,
    "seed": 7,
    "backoffBase": 2,
    "backoffCap": 4,
    "processTimeout": 20,
    "attemptTimeout": 4,
    "concurrency": 3,
}


TERMINAL = {"succeeded", "dead", "cancelled"}


@dataclass(frozen=True)
class Call:
    """One request that the emulator answered: who asked which service for what."""

    service: str
    action: str
    parameters: dict[str, Any]


@dataclass(kw_only=True)
class Stack:
    """A deployed stack. `key` may do everything."""

    emulator: Emulator
    outputs: dict[str, str]
    key: str = ""

    @property
    def url(self) -> str:
        """Where the API answers. On AWS it has a host name of its own; here, a path."""
        return f"{self.emulator.url}/_aws/execute-api/{self.outputs['HttpApiId']}/$default"

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:
        """The answer of the API as JSON; fails the test unless the call succeeded."""
        answer = self.ask(method, path, body, key)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def ask(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> httpx.Response:
        """The answer of the API, whatever it is. An empty key is none."""
        given = self.key if key is None else key
        headers = {"Authorization": f"Bearer {given}"} if given else {}
        content = None if body is None else json.dumps(body)
        url = f"{self.url}{path}"
        return httpx.request(method, url, content=content, headers=headers, timeout=40)

    def unlost(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """The command line, told by its environment where the service is."""
        environment = {
            **self.emulator.environment,
            "UNLOST_URL": self.url,
            "UNLOST_API_KEY": self.key,
            "NO_COLOR": "1",
        }
        return subprocess.run(
            [sys.executable, "-m", "unlost", *arguments],
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def aws(self, service: str) -> Any:
        """A boto3 client for the account."""
        return _client(self.emulator.url, service)

    def invoke(self, function: str, event: object) -> Any:
        """What the function returns; fails the test if it fails."""
        answer = self.aws("lambda").invoke(
            FunctionName=f"{NAME}-{function}", Payload=json.dumps(event).encode()
        )
        said = answer["Payload"].read()
        assert "FunctionError" not in answer, said
        return json.loads(said)

    def sweep(self) -> None:
        """What the schedule does each minute."""
        self.invoke("sweep", {"source": "aws.events"})

    def submit(self, task_id: str, payload: object, **options: object) -> None:
        """One task."""
        self.call("POST", "/tasks", {"taskId": task_id, "payload": payload, **options})

    def finished(
        self, ids: Iterable[str], seconds: float = 60, *, sweeping: bool = False
    ) -> dict[str, dict[str, Any]]:
        """The tasks once all of them have ended; with a sweep before each look, if asked for."""
        missing = list(ids)
        tasks: dict[str, dict[str, Any]] = {}

        def look() -> bool:
            if sweeping:
                self.sweep()
            for task_id in missing:
                tasks[task_id] = self.call("GET", f"/tasks/{task_id}")
            missing[:] = [one for one in missing if tasks[one]["state"] not in TERMINAL]
            return not missing

        def open_still() -> str:
            return json.dumps([tasks[task_id] for task_id in missing], indent=1)

        until(look, seconds, every=3 if sweeping else 0.5, told=open_still)
        return tasks

    @contextmanager
    def configured(self, function: str, **variables: str) -> Iterator[None]:
        """Other environment variables for a function, for a while."""
        functions, name = self.aws("lambda"), f"{NAME}-{function}"
        before = functions.get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        try:
            changed = {"Variables": before | variables}
            functions.update_function_configuration(FunctionName=name, Environment=changed)
            yield
        finally:
            restored = {"Variables": before}
            functions.update_function_configuration(FunctionName=name, Environment=restored)

    @contextmanager
    def throttled(self, function: str) -> Iterator[None]:
        """No run of the function is allowed, for a while."""
        functions, name = self.aws("lambda"), f"{NAME}-{function}"
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
        try:
            yield
        finally:
            functions.delete_function_concurrency(FunctionName=name)

    @contextmanager
    def unscheduled(self) -> Iterator[None]:
        """No sweep comes but those that a test makes, for a while."""
        events = self.aws("events")
        [rule] = [each["Name"] for each in events.list_rules()["Rules"] if NAME in each["Name"]]
        events.disable_rule(Name=rule)
        try:
            yield
        finally:
            events.enable_rule(Name=rule)

    def log(self, function: str) -> list[dict[str, Any]]:
        """What the function's JSON lines in CloudWatch Logs say."""
        return [json.loads(text) for text in self.lines(function) if text.startswith("{")]

    def lines(self, function: str) -> list[str]:
        """The function's lines in CloudWatch Logs, as they stand there."""
        pages = self.aws("logs").get_paginator("filter_log_events")
        return [
            event["message"]
            for page in pages.paginate(logGroupName=f"/aws/lambda/{NAME}-{function}")
            for event in page["events"]
        ]

    def messages(self, output: str, *states: str) -> int:
        """How many messages a queue holds, in these states ("" is visible), or in whatever."""
        names = [
            f"ApproximateNumberOfMessages{state}"
            for state in states or ("", "Delayed", "NotVisible")
        ]
        attributes = self.aws("sqs").get_queue_attributes(
            QueueUrl=self.outputs[output], AttributeNames=names
        )["Attributes"]
        return sum(int(attributes[name]) for name in names)

    @contextmanager
    def recorded(self) -> Iterator[list[Call]]:
        """Fills the list, at the end, with every request that AWS was asked meanwhile.

        The emulator's own audit trail, so it counts what the functions send, not what they say.
        """
        calls: list[Call] = []
        began = time.time()
        self._record(on=True)
        try:
            yield calls
        finally:
            self._record(on=False)
        for event in _events(self.aws("cloudtrail"), began):
            told = json.loads(event["CloudTrailEvent"])
            service = told["eventSource"].partition(".")[0]
            calls.append(Call(service, told["eventName"], told["requestParameters"]))

    def _record(self, *, on: bool) -> None:
        told = {"cloudtrail._recording_enabled": str(on).lower()}
        httpx.post(f"{self.emulator.url}/_ministack/config", json=told).raise_for_status()


@cache
def _client(url: str, service: str) -> Any:
    make: Any = boto3.client
    return make(
        service,
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def _events(trail: Any, since: float) -> Iterator[dict[str, Any]]:
    """The audit trail from then on. The emulator gives its newest 50 and no more, so one asks for
    what was before the oldest of them; to a fraction of a second, which boto3 would cut off."""
    until: list[float] = [time.time()]

    def exactly(params: dict[str, Any], **_: object) -> None:
        params["body"] = json.dumps({"EndTime": until[0], "StartTime": since}).encode()

    call = "before-call.cloudtrail.LookupEvents"
    trail.meta.events.register(call, exactly)
    seen: set[str] = set()
    while new := [one for one in trail.lookup_events()["Events"] if one["EventId"] not in seen]:
        yield from new
        seen.update(one["EventId"] for one in new)
        until[0] = min(one["EventTime"].timestamp() for one in new)
    trail.meta.events.unregister(call, exactly)


def deploy(emulator: Emulator) -> Stack:
    """Deploys as a person would, and makes the first key."""
    run_osls(emulator.environment, "deploy", "--stage", STAGE, **PARAMS)
    described = _client(emulator.url, "cloudformation").describe_stacks(StackName=NAME)["Stacks"][0]
    outputs = {each["OutputKey"]: each["OutputValue"] for each in described["Outputs"]}
    _allow_batches(_client(emulator.url, "iam"))
    stack = Stack(emulator=emulator, outputs=outputs)
    stack.key = new_key(stack, "submit,read,operate,work")
    return stack


def _allow_batches(iam: Any) -> None:
    """Who may send or hide a message may, on AWS, send or hide ten. The emulator asks for the
    right to SendMessageBatch, which AWS has not."""
    for role in iam.list_roles()["Roles"]:
        who = {"RoleName": role["RoleName"]}
        for name in iam.list_role_policies(**who)["PolicyNames"]:
            policy = iam.get_role_policy(**who, PolicyName=name)["PolicyDocument"]
            for statement in policy["Statement"]:
                asked = statement["Action"]
                actions = [asked] if isinstance(asked, str) else asked
                single = {"sqs:SendMessage", "sqs:ChangeMessageVisibility"}.intersection(actions)
                statement["Action"] = [*actions, *(f"{action}Batch" for action in single)]
            iam.put_role_policy(**who, PolicyName=name, PolicyDocument=json.dumps(policy))


def new_key(stack: Stack, scopes: str) -> str:
    """A key with these scopes, as `unlost key create` gives it out."""
    ledger = stack.outputs["Ledger"]
    made = stack.unlost("key", "create", "--ledger", ledger, "--scope", scopes, "--name", scopes)
    assert made.returncode == 0, made.stderr
    return made.stdout.split()[-1]


def until(
    what: Callable[[], object],
    seconds: float = 30,
    *,
    every: float = 0.2,
    told: Callable[[], str] = str,
) -> Any:
    """The first true answer; fails the test, with what `told` says, if it takes so long."""
    deadline = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}\n{told()}"
        time.sleep(every)
    return answer


def tally(calls: list[Call]) -> Counter[str]:
    """Requests by service and action."""
    return Counter(f"{call.service}:{call.action}" for call in calls)
