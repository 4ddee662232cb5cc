"""The functions as Lambda runs them: in processes of their own, with their environment, on the
clock of the day."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.aws.emulator import Emulator
from tests.aws.functions import ROOT, Functions, batch, request
from tests.aws.place import hints, outcomes, place_in, record
from tests.aws.test_sweep import sweep_of
from tests.conformance.stage import Clock, must_add_up
from unlost.aws.environment import SHORTEST_FUNCTION
from unlost.ledger.opening import wall_clock
from unlost.task import State


@pytest.fixture
async def functions(emulator: Emulator, tmp_path: Path) -> AsyncIterator[Functions]:
    async with place_in(emulator.url, Clock(wall_clock())) as place:
        yield Functions(place, emulator.environment, tmp_path)
        await must_add_up(place.ledger)


async def test_a_process_that_dies_mid_attempt_costs_that_attempt_and_no_more(
    functions: Functions,
) -> None:
    place = functions.place
    await place.submit("before", "after", type="quick")
    await place.submit("t", type="crash")
    records = hints("before", "t", "after")

    assert functions.run("process", batch(*records)).status == -signal.SIGKILL

    assert await place.states("before", "t", "after") == [
        State.SUCCEEDED, State.RUNNING, State.QUEUED,
    ]  # fmt: skip
    place.clock.advance(120)
    await sweep_of(place).once(60)
    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.RETRYING, ["lost"])


async def test_a_process_that_a_handler_does_not_let_end_is_ended(functions: Functions) -> None:
    place = functions.place
    await place.submit("t", type="stuck")
    await place.submit("quick", type="quick")
    place.queues.taken(place.queues.work)

    run = functions.run("process", batch(*hints("t", "quick")))

    assert (run.status, run.answers) == (3, [])
    task = await place.task("t")
    assert (task.state, outcomes(task)) == (State.RETRYING, ["timed_out"])
    assert place.queues.taken(place.queues.work) == [{"taskId": "quick"}]
    assert any(line.get("attemptsTimedOut") == [1.0] for line in run.log)


async def test_sigterm_releases_what_runs_and_the_rest_goes_back(functions: Functions) -> None:
    place = functions.place
    await place.submit("t", type="wait")
    await place.submit("quick", type="quick")
    records = hints("t", "quick")
    process = functions.start("process", batch(*records))
    assert process.stdout is not None
    while "waiting" not in process.stdout.readline():
        pass

    process.send_signal(signal.SIGTERM)
    run = functions.ended(process)

    assert run.status == 0
    assert run.answers == [{"batchItemFailures": [{"itemIdentifier": records[1]["messageId"]}]}]
    assert await place.states("t", "quick") == [State.QUEUED, State.QUEUED]
    assert (await place.task("t")).attempt_count == 0


async def test_it_keeps_its_state_and_its_loop_from_one_invocation_to_the_next(
    functions: Functions,
) -> None:
    place = functions.place
    await place.submit("a", "b", type="quick")
    poison = record("poison")

    run = functions.run(
        "process", batch(*hints("a")), batch(poison), batch(*hints("b")), batch(), {}
    )

    assert run.err == ""
    assert run.answers == [
        {"batchItemFailures": []},
        {"batchItemFailures": [{"itemIdentifier": poison["messageId"]}]},
        {"batchItemFailures": []},
        {"batchItemFailures": []},
        {"batchItemFailures": []},
    ]
    assert await place.states("a", "b") == [State.SUCCEEDED, State.SUCCEEDED]


async def test_the_log_has_the_contracts_lines_and_no_payload(functions: Functions) -> None:
    place = functions.place
    await place.submit("t", type="speak", payload='{"secret":"s3cr3t"}')

    run = functions.run("process", batch(*hints("t", "nobody")))

    assert "s3cr3t" not in run.out + run.err
    printed = [
        (line["text"], line["stream"], line["taskId"]) for line in run.events("handler.output")
    ]
    assert printed == [
        ("hello world", "stdout", "t"),
        ("over there", "stderr", "t"),
        ("no line feed", "stdout", "t"),
    ]
    [unknown] = run.events("task.unknown")
    assert (
        unknown.items()
        >= {
            "level": "warning",
            "taskId": "nobody",
            "service": "tasks",
            "requestId": "request-1",
            "coldStart": True,
        }.items()
    )
    assert all(line["at"].endswith("Z") for line in run.log if "event" in line)
    [metrics] = [line for line in run.log if "_aws" in line]
    assert metrics["attemptsSucceeded"] == [1.0]
    assert metrics["service"] == "tasks"


async def test_the_whole_way_of_a_task_that_dies_through_all_the_functions(
    functions: Functions,
) -> None:
    place = functions.place
    simulated: Any = {"UNLOST_HANDLER": "", "UNLOST_FAILURE_RATE": "1", "UNLOST_MAX_RETRIES": "0"}
    submitted = functions.run(
        "api", request("POST", "/tasks", '{"taskId": "t", "payload": {"n": 1.50}}')
    )
    assert [answer["statusCode"] for answer in submitted.answers] == [202]
    work = place.queues.receive(place.queues.work)
    assert functions.run("process", batch(*work), **simulated).answers == [
        {"batchItemFailures": []}
    ]
    deaths = place.queues.receive(place.queues.dead)

    monitored = functions.run("monitor", batch(*deaths))

    [line] = monitored.events("task.dead_lettered")
    assert line["taskId"] == "t"
    assert line["error"]["type"] == "SimulatedFailure"
    assert '"payload":{"n":1.50}' in monitored.out
    changes = [change for batch in place.table.stream.batches() for change in batch]
    counted = functions.run("count", {"Records": [as_lambda_has_it(one) for one in changes]})
    assert counted.answers == [{"counted": 3}]
    [counts] = [line for line in counted.log if "_aws" in line]
    assert (counts["submitted"], counts["dead"], counts["retried"]) == ([1.0], [1.0], [0.0])
    swept = functions.run("sweep", {"source": "aws.events"})
    assert swept.status == 0
    [gauges] = [one for one in swept.log if "_aws" in one]
    assert (gauges["deadLetters"], gauges["unreportedDeaths"]) == ([1.0], [0.0])


def as_lambda_has_it(change: Any) -> Any:
    """A record of the stream as a function gets it: times are numbers, bytes are base64."""
    told = dict(change["dynamodb"])
    told["ApproximateCreationDateTime"] = told["ApproximateCreationDateTime"].timestamp()
    return json.loads(json.dumps({**change, "dynamodb": told}, default=lambda value: "AA=="))


async def test_invocations_are_traced_where_that_is_switched_on(functions: Functions) -> None:
    place = functions.place
    await place.submit("t", type="quick", payload='{"secret":"s3cr3t"}')
    root = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        lambdas = {
            "UNLOST_TRACING": "on",
            "AWS_XRAY_DAEMON_ADDRESS": f"127.0.0.1:{daemon.getsockname()[1]}",
            "LAMBDA_TASK_ROOT": str(ROOT),
            "_X_AMZN_TRACE_ID": root,
        }
        variables: Any = lambdas

        run = functions.run("process", batch(*hints("t")), **variables)

        sent = daemon.recv(65_536).decode()
    assert run.status == 0, run.err
    assert "1-5759e988-bd862e3fe1be46a994272793" in sent
    assert "s3cr3t" not in sent
    assert await place.states("t") == [State.SUCCEEDED]


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"UNLOST_MAX_RETRIES": "many"}, "UNLOST_MAX_RETRIES must be a whole number, not 'many'"),
        ({"UNLOST_QUEUE_URL": ""}, "UNLOST_QUEUE_URL must be set"),
        ({"UNLOST_KEYS": "maybe"}, "UNLOST_KEYS must be required or off, not 'maybe'"),
        (
            {"UNLOST_FUNCTION_TIMEOUT": "5"},
            f"UNLOST_FUNCTION_TIMEOUT must be {SHORTEST_FUNCTION + 1:g} to 900 seconds, not '5'",
        ),
        ({"UNLOST_SHARDS": "0"}, "UNLOST_SHARDS must be 1 to 100, not '0'"),
        ({"UNLOST_HANDLER": "nowhere:handlers"}, "there is no module 'nowhere'"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    emulator: Emulator, tmp_path: Path, variables: dict[str, str], complaint: str
) -> None:
    told = {"UNLOST_TABLE": "t", "UNLOST_QUEUE_URL": "q", "UNLOST_DEAD_LETTER_QUEUE_URL": "d"}
    run = subprocess.run(
        [sys.executable, "-m", "tests.aws.invoke", "unlost.aws.process", tmp_path / "answers"],
        env={**emulator.environment, "PYTHONPATH": str(ROOT), **told, **variables},
        input="",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert run.returncode == 1
    [line] = run.stdout.splitlines()
    assert json.loads(line).items() >= {"level": "error", "why": complaint}.items()
    assert run.stderr.splitlines()[-1].endswith(complaint)
