"""`POST /tasks`: what is accepted, what is the same again, what is a conflict."""

from __future__ import annotations

import httpx
import pytest

from tests.api.checks import problem
from tests.conformance.stage import Clock, Stage
from unlost.task import SECOND

JSON = {"Content-Type": "application/json"}
FRESH = {
    "taskId", "type", "state", "payload", "attemptCount", "maxRetries", "attempts", "error",
    "result", "submittedAt", "updatedAt", "nextAttemptAt", "redriveCount",
}  # fmt: skip


async def post(api: httpx.AsyncClient, text: str, **headers: str) -> httpx.Response:
    return await api.post("/tasks", content=text, headers=JSON | headers)


async def test_a_new_task_is_202_with_its_location_and_itself(api: httpx.AsyncClient) -> None:
    answer = await post(api, '{"taskId": "a", "payload": {"x": 1}}')

    assert answer.status_code == 202
    assert answer.headers["location"] == "/tasks/a"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "idempotent-replayed" not in answer.headers
    task = answer.json()
    assert task.keys() == FRESH
    assert task["state"] == "queued"
    assert task["type"] == "default"
    assert task["maxRetries"] == 2
    assert task["payload"] == {"x": 1}
    assert task["submittedAt"] == task["updatedAt"] == task["nextAttemptAt"]
    assert task["submittedAt"].endswith("Z")


OPTIONS = [
    "",
    ', "type": "invoice.send", "priority": -5, "maxRetries": 0, "timeoutSeconds": 0.5',
    ', "delaySeconds": 12.5',
    ', "runAt": "2031-02-03T04:05:06.789+02:00"',
    ', "key": "tenant \\"\\u00e9\\""',
]


@pytest.mark.parametrize("options", OPTIONS)
async def test_the_first_answer_is_byte_for_byte_the_one_that_a_get_gives(
    api: httpx.AsyncClient, options: str
) -> None:
    submitted = await post(api, f'{{"taskId": "a", "payload": {{"é": "\\"\\u00e9"}}{options}}}')

    assert submitted.status_code == 202
    assert (await api.get("/tasks/a")).content == submitted.content


async def test_the_same_again_is_200_with_the_task_as_it_is_now(
    api: httpx.AsyncClient, stage: Stage
) -> None:
    await post(api, '{"taskId": "a", "payload": {"x": 1}}')
    await stage.succeed(await stage.run("a"), '{"sent":true}')

    answer = await post(api, '{"taskId": "a", "payload": {"x": 1}}')

    assert answer.status_code == 200
    assert answer.headers["idempotent-replayed"] == "true"
    assert answer.json()["state"] == "succeeded"
    assert answer.json()["result"] == {"sent": True}
    assert (await stage.ledger.counts()).accepted == 1


SAME = [
    ('{"payload": {"a": 1, "b": [1.50, "é"]}, "taskId": "t"}',
     '{"taskId":"t","payload":{"b":[15e-1,"\\u00e9"],"a":1.0}}'),
    ('{"taskId": "t", "payload": {"n": 9007199254740993}}',
     '{"taskId": "t", "payload": {"n": 9007199254740993.000}}'),
    ('{"taskId": "t", "payload": {"n": -0.0}}', '{"taskId": "t", "payload": {"n": 0}}'),
    ('{"taskId": "t", "payload": {}}',
     '{"taskId": "t", "payload": {}, "type": "default", "priority": 0.0, "delaySeconds": 0}'),
    ('{"taskId": "t", "payload": {}, "delaySeconds": 5}',
     '{"taskId": "t", "payload": {}, "delaySeconds": 5.0}'),
    ('{"taskId": "t", "payload": {}, "runAt": "2030-01-01T12:00:00+02:00"}',
     '{"taskId": "t", "payload": {}, "runAt": "2030-01-01T10:00:00.000Z"}'),
    ('{"taskId": "t", "payload": {}, "maxRetries": 2}',
     '{"taskId": "t", "payload": {}, "maxRetries": 2e0}'),
    ('{"taskId": "t", "payload": {}, "timeoutSeconds": 0.1}',
     '{"taskId": "t", "payload": {}, "timeoutSeconds": 1e-1}'),
    ('{"taskId": "t", "payload": {}, "key": "é"}',
     '{"taskId": "t", "payload": {}, "key": "\\u00e9"}'),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), SAME)
async def test_equal_values_are_the_same_task(
    api: httpx.AsyncClient, first: str, second: str
) -> None:
    assert (await post(api, first)).status_code == 202
    assert (await post(api, second)).status_code == 200


DIFFERENT = [
    ('"payload": {"n": 9007199254740992}', '"payload": {"n": 9007199254740993}'),
    ('"payload": {"n": 1}', '"payload": {"n": "1"}'),
    ('"payload": {"n": 0}', '"payload": {"n": false}'),
    ('"payload": {"n": [1, 2]}', '"payload": {"n": [2, 1]}'),
    ('"payload": {"n": "é"}', '"payload": {"n": "e\\u0301"}'),
    ('"payload": {}', '"payload": {"n": null}'),
    ('"payload": {}', '"payload": {}, "type": "other"'),
    ('"payload": {}', '"payload": {}, "priority": 1'),
    ('"payload": {}', '"payload": {}, "delaySeconds": 1e-9'),
    ('"payload": {}', '"payload": {}, "key": "default"'),
    ('"payload": {}, "key": "a"', '"payload": {}, "key": "A"'),
    ('"payload": {}', '"payload": {}, "maxRetries": 2'),
    ('"payload": {}', '"payload": {}, "timeoutSeconds": 300'),
    ('"payload": {}', '"payload": {}, "runAt": "2020-01-01T00:00:00Z"'),
    ('"payload": {}, "runAt": "2020-01-01T00:00:00.0000001Z"',
     '"payload": {}, "runAt": "2020-01-01T00:00:00.0000002Z"'),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), DIFFERENT)
async def test_another_value_under_the_same_id_is_a_conflict_and_changes_nothing(
    api: httpx.AsyncClient, first: str, second: str
) -> None:
    accepted = await post(api, f'{{"taskId": "t", {first}}}')
    assert accepted.status_code == 202

    problem(await post(api, f'{{"taskId": "t", {second}}}'), 409)

    assert (await api.get("/tasks/t")).content == accepted.content


async def test_a_payload_comes_back_as_it_went_in(api: httpx.AsyncClient) -> None:
    payload = (
        '{"z":1,"a":123456789012345678901234567890,"m":1.10000000000000000000000000001,'
        '"e":1E400,"s":"\\u0041\\/\\ud83d\\ude00","n":-0.0}'
    )
    spaced = payload.replace(",", " ,\n ").replace(":", " :\t")

    await post(api, f'{{"taskId": "t", "payload": {spaced}}}')

    assert payload in (await api.get("/tasks/t")).text


IDS = [
    "batch", "groups", "redrive", "a/b", "a?b", "a%b", "a%2Fb", "a b", "a+b", "a#b", "a&b=c", "é",
    "😀", "...", ".a", "..a", "\u2028", "a;b", "a\\b", '"', "x" * 255, "😀" * 255, "//", "/",
    "cancel", "../../etc/passwd", "\ufeff", "\u00ad", "\ue000",
]  # fmt: skip


@pytest.mark.parametrize("task_id", IDS)
async def test_any_id_works_in_a_path_when_percent_encoded(
    api: httpx.AsyncClient, task_id: str
) -> None:
    submitted = await api.post("/tasks", json={"taskId": task_id, "payload": {}})

    assert submitted.status_code == 202, submitted.text
    shown = await api.get(submitted.headers["location"])
    assert shown.status_code == 200
    assert shown.json()["taskId"] == task_id
    cancelled = await api.post(submitted.headers["location"] + "/cancel")
    assert cancelled.json()["state"] == "cancelled"


async def test_delay_and_run_at_say_when_the_first_attempt_may_start(
    api: httpx.AsyncClient, stage: Stage, clock: Clock
) -> None:
    await post(api, '{"taskId": "delayed", "payload": {}, "delaySeconds": 0.25}')
    await post(api, '{"taskId": "planned", "payload": {}, "runAt": "2030-01-01T00:00:00.5+01:00"}')
    await post(api, '{"taskId": "past", "payload": {}, "runAt": "1970-01-01T00:00:00Z"}')

    assert (await stage.record("delayed")).due_at == clock.now + SECOND // 4
    planned = (await api.get("/tasks/planned")).json()
    assert planned["nextAttemptAt"] == "2029-12-31T23:00:00.500000Z"
    assert [attempt.task_id for attempt in await stage.claim(10)] == ["past"]


GOOD = [
    '"priority": -100', '"priority": 100', '"maxRetries": 100', '"maxRetries": 2.0',
    '"maxRetries": 1e2', '"maxRetries": 1000e-1', '"timeoutSeconds": 43200',
    '"timeoutSeconds": 1e-300', '"timeoutSeconds": 1e-5000', '"delaySeconds": 31536000',
    '"delaySeconds": 0.000000000001', '"delaySeconds": 1e-99999999999999999999',
    '"runAt": "9999-12-31T23:59:59.999999999Z"', '"runAt": "1970-01-01T00:00:00Z"',
    '"runAt": "2024-02-29T23:59:60Z"', '"runAt": "2024-02-29t00:00:00z"',
    '"runAt": "9999-12-31T23:59:59+23:59"', '"type": "x"', f'"type": "{"é" * 100}"',
    '"type": " "', '"key": "."', '"key": " "', f'"key": "{"é" * 255}"',
]  # fmt: skip


@pytest.mark.parametrize("option", GOOD)
async def test_options_up_to_their_bounds_are_taken(api: httpx.AsyncClient, option: str) -> None:
    answer = await post(api, f'{{"taskId": "t", "payload": {{}}, {option}}}')

    assert answer.status_code == 202, answer.text
    assert (await api.get("/tasks/t")).content == answer.content


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", 'Application/JSON;Charset="UTF-8"',
     "application/cloudevents+json", "application/json; profile=x", None],
)  # fmt: skip
async def test_json_by_any_name_or_none_is_taken(
    api: httpx.AsyncClient, content_type: str | None
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}

    answer = await api.post("/tasks", content=b'{"taskId":"t","payload":{}}', headers=headers)

    assert answer.status_code == 202


async def test_a_payload_of_exactly_the_limit_is_taken(api: httpx.AsyncClient) -> None:
    payload = '{"x":"' + "a" * (256 * 1024 - 8) + '"}'
    assert len(payload) == 256 * 1024

    answer = await post(api, f'{{"taskId": "t", "payload": {payload}}}')

    assert answer.status_code == 202
    assert payload in (await api.get("/tasks/t")).text


async def test_a_body_of_exactly_the_limit_is_taken(api: httpx.AsyncClient) -> None:
    text = '{"taskId": "t", "payload": {}}'

    answer = await post(api, text + " " * (320 * 1024 - len(text)))

    assert answer.status_code == 202


async def test_a_payload_128_levels_deep_is_taken(api: httpx.AsyncClient) -> None:
    payload = '{"a":' * 127 + "{}" + "}" * 127

    answer = await post(api, f'{{"taskId": "t", "payload": {payload}}}')

    assert answer.status_code == 202
