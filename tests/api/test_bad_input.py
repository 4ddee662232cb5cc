"""What a client sends wrong is its own 4xx, and nothing of it is stored."""

from __future__ import annotations

import gzip
import json

import httpx
import pytest

from tests.api.checks import pointers, problem
from tests.conformance.stage import Stage

TASK = '{"taskId": "t", "payload": {}'
KIB = 1024


def deep(levels: int) -> str:
    return '{"a":' * (levels - 1) + "{}" + "}" * (levels - 1)


MALFORMED: dict[str, bytes] = {
    "no body": b"",
    "white space only": b" \r\n\t",
    "cut off": b'{"taskId": "t", "payload": {',
    "trailing comma": b'{"taskId": "t", "payload": {},}',
    "single quotes": b"{'taskId': 't', 'payload': {}}",
    "a comment": b'{"taskId": "t", "payload": {}} // x',
    "two values": b'{"taskId": "t", "payload": {}}{}',
    "a member twice": b'{"taskId": "t", "payload": {}, "payload": {}}',
    "a member twice, once escaped": b'{"taskId": "t", "payload": {"a": 1, "\\u0061": 2}}',
    "a member twice, deep": b'{"taskId": "t", "payload": {"x": [{"a": 1, "a": 1}]}}',
    "NaN": b'{"taskId": "t", "payload": {"x": NaN}}',
    "infinity": b'{"taskId": "t", "payload": {"x": -Infinity}}',
    "a leading zero": b'{"taskId": "t", "payload": {"x": 01}}',
    "a bare point": b'{"taskId": "t", "payload": {"x": 1.}}',
    "a plus": b'{"taskId": "t", "payload": {"x": +1}}',
    "a byte order mark": b'\xef\xbb\xbf{"taskId": "t", "payload": {}}',
    "UTF-16": '{"taskId": "t", "payload": {}}'.encode("utf-16"),
    "Latin-1": '{"taskId": "é", "payload": {}}'.encode("latin-1"),
    "an overlong encoding": b'{"taskId": "\xc0\xaf", "payload": {}}',
    "an encoded surrogate": b'{"taskId": "\xed\xa0\x80", "payload": {}}',
    "a lone high surrogate": b'{"taskId": "t", "payload": {"x": "\\ud800"}}',
    "a lone low surrogate": b'{"taskId": "t", "payload": {"x": "\\udc00a"}}',
    "a lone surrogate as a name": b'{"taskId": "t", "payload": {"\\ud800": 1}}',
    "a lone surrogate in the id": b'{"taskId": "\\ud800", "payload": {}}',
    "a control character": b'{"taskId": "t", "payload": {"x": "\x01"}}',
    "a bad escape": b'{"taskId": "t", "payload": {"x": "\\x41"}}',
    "129 levels": f'{{"taskId": "t", "payload": {deep(129)}}}'.encode(),
    "10,000 levels": f'{{"taskId": "t", "payload": {deep(10_000)}}}'.encode(),
    "10,000 brackets": b"[" * 10_000,
    "100,000 brackets in an option": b'{"taskId": "t", "payload": {}, "type": ' + b"[" * 100_000,
    "a bare word": b"tasks",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_strict_json_is_400(
    api: httpx.AsyncClient, stage: Stage, body: bytes
) -> None:
    answer = await api.post("/tasks", content=body, headers={"Content-Type": "application/json"})

    problem(answer, 400)
    assert (await stage.ledger.counts()).accepted == 0


EVERYTHING_WRONG = (
    '{"taskId": 1, "payload": 2, "type": 3, "priority": "4", "maxRetries": -5, '
    '"delaySeconds": -6, "timeoutSeconds": -7, "runAt": 8, "other": 9}'
)
INVALID: dict[str, tuple[str, list[str]]] = {
    "an array": ("[]", ["#"]),
    "a string": ('"t"', ["#"]),
    "a number": ("1", ["#"]),
    "null": ("null", ["#"]),
    "nothing in it": ("{}", ["#/payload", "#/taskId"]),
    "no payload": ('{"taskId": "t"}', ["#/payload"]),
    "a payload that is an array": ('{"taskId": "t", "payload": []}', ["#/payload"]),
    "a payload that is null": ('{"taskId": "t", "payload": null}', ["#/payload"]),
    "a payload that is a string": ('{"taskId": "t", "payload": "{}"}', ["#/payload"]),
    "an empty id": ('{"taskId": "", "payload": {}}', ["#/taskId"]),
    "an id with a newline": ('{"taskId": "a\\nb", "payload": {}}', ["#/taskId"]),
    "an id with a trailing newline": ('{"taskId": "a\\n", "payload": {}}', ["#/taskId"]),
    "an id with NUL": ('{"taskId": "a\\u0000", "payload": {}}', ["#/taskId"]),
    "an id with DEL": ('{"taskId": "a\\u007f", "payload": {}}', ["#/taskId"]),
    "an id with a C1 control": ('{"taskId": "a\\u0085", "payload": {}}', ["#/taskId"]),
    "an id of 256 characters": (f'{{"taskId": "{"x" * 256}", "payload": {{}}}}', ["#/taskId"]),
    "an id that is a number": ('{"taskId": 1, "payload": {}}', ["#/taskId"]),
    "the id .": ('{"taskId": ".", "payload": {}}', ["#/taskId"]),
    "the id ..": ('{"taskId": "..", "payload": {}}', ["#/taskId"]),
    "an unknown member": (TASK + ', "nope": 1}', ["#/nope"]),
    "a member with a strange name": (TASK + ', "a/b~c é%": 1}', ["#/a~1b~0c%20%C3%A9%25"]),
    "a member in another case": ('{"taskid": "t", "payload": {}}', ["#/taskId", "#/taskid"]),
    "an empty type": (TASK + ', "type": ""}', ["#/type"]),
    "a type of 101 characters": (TASK + f', "type": "{"x" * 101}"}}', ["#/type"]),
    "a type with a tab": (TASK + ', "type": "a\\tb"}', ["#/type"]),
    "an empty key": (TASK + ', "key": ""}', ["#/key"]),
    "a key of 256 characters": (TASK + f', "key": "{"x" * 256}"}}', ["#/key"]),
    "a key with a line feed": (TASK + ', "key": "a\\nb"}', ["#/key"]),
    "a key that is null": (TASK + ', "key": null}', ["#/key"]),
    "a key that is a number": (TASK + ', "key": 1}', ["#/key"]),
    "a type that is null": (TASK + ', "type": null}', ["#/type"]),
    "maxRetries -1": (TASK + ', "maxRetries": -1}', ["#/maxRetries"]),
    "maxRetries 101": (TASK + ', "maxRetries": 101}', ["#/maxRetries"]),
    "maxRetries 1.5": (TASK + ', "maxRetries": 1.5}', ["#/maxRetries"]),
    "maxRetries as a string": (TASK + ', "maxRetries": "2"}', ["#/maxRetries"]),
    "maxRetries true": (TASK + ', "maxRetries": true}', ["#/maxRetries"]),
    "maxRetries null": (TASK + ', "maxRetries": null}', ["#/maxRetries"]),
    "maxRetries beyond all numbers": (TASK + ', "maxRetries": 1e999999999}', ["#/maxRetries"]),
    "maxRetries of 5,000 digits": (TASK + f', "maxRetries": {"9" * 5000}}}', ["#/maxRetries"]),
    "priority 101": (TASK + ', "priority": 101}', ["#/priority"]),
    "priority -101": (TASK + ', "priority": -101}', ["#/priority"]),
    "priority 0.5": (TASK + ', "priority": 0.5}', ["#/priority"]),
    "priority false": (TASK + ', "priority": false}', ["#/priority"]),
    "delaySeconds -1": (TASK + ', "delaySeconds": -1}', ["#/delaySeconds"]),
    "delaySeconds a hair below 0": (TASK + ', "delaySeconds": -1e-99999}', ["#/delaySeconds"]),
    "delaySeconds over a year": (
        TASK + ', "delaySeconds": 31536000.00000000000000000001}',
        ["#/delaySeconds"],
    ),
    "delaySeconds true": (TASK + ', "delaySeconds": true}', ["#/delaySeconds"]),
    "delaySeconds null": (TASK + ', "delaySeconds": null}', ["#/delaySeconds"]),
    "timeoutSeconds 0": (TASK + ', "timeoutSeconds": 0}', ["#/timeoutSeconds"]),
    "timeoutSeconds -0.0": (TASK + ', "timeoutSeconds": -0.0}', ["#/timeoutSeconds"]),
    "timeoutSeconds 43201": (TASK + ', "timeoutSeconds": 43201}', ["#/timeoutSeconds"]),
    "timeoutSeconds huge": (TASK + ', "timeoutSeconds": 1e99999999999999}', ["#/timeoutSeconds"]),
    "runAt with delaySeconds": (
        TASK + ', "runAt": "2030-01-01T00:00:00Z", "delaySeconds": 0}',
        ["#/runAt"],
    ),
    "runAt without an offset": (TASK + ', "runAt": "2030-01-01T00:00:00"}', ["#/runAt"]),
    "runAt a date": (TASK + ', "runAt": "2030-01-01"}', ["#/runAt"]),
    "runAt a number": (TASK + ', "runAt": 1700000000}', ["#/runAt"]),
    "runAt null": (TASK + ', "runAt": null}', ["#/runAt"]),
    "runAt on a day that is not": (TASK + ', "runAt": "2030-02-30T00:00:00Z"}', ["#/runAt"]),
    "runAt at 24 o'clock": (TASK + ', "runAt": "2030-01-01T24:00:00Z"}', ["#/runAt"]),
    "runAt at a leap second that is none": (
        TASK + ', "runAt": "2030-01-01T12:00:60Z"}',
        ["#/runAt"],
    ),
    "runAt before 1970": (TASK + ', "runAt": "1970-01-01T00:00:00+00:01"}', ["#/runAt"]),
    "runAt after 9999": (TASK + ', "runAt": "9999-12-31T23:59:59-00:01"}', ["#/runAt"]),
    "runAt in the year 0": (TASK + ', "runAt": "0000-01-01T00:00:00Z"}', ["#/runAt"]),
    "runAt in other digits": (TASK + ', "runAt": "\uff12030-01-01T00:00:00Z"}', ["#/runAt"]),
    "runAt with a newline": (TASK + ', "runAt": "2030-01-01T00:00:00Z\\n"}', ["#/runAt"]),
    "all at once": (
        EVERYTHING_WRONG,
        ["#/delaySeconds", "#/maxRetries", "#/other", "#/payload", "#/priority", "#/runAt",
         "#/runAt", "#/taskId", "#/timeoutSeconds", "#/type"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("body", "where"), INVALID.values(), ids=INVALID)
async def test_an_invalid_member_is_422_that_points_at_it(
    api: httpx.AsyncClient, stage: Stage, body: str, where: list[str]
) -> None:
    answer = await api.post("/tasks", content=body, headers={"Content-Type": "application/json"})

    assert pointers(answer) == where
    assert (await stage.ledger.counts()).accepted == 0


TOO_LARGE = {
    "a payload of 300 KiB": json.dumps({"taskId": "t", "payload": {"x": "a" * 300 * KIB}}),
    "a payload one byte too long": TASK[:-2] + '{"x":"' + "a" * (256 * KIB - 7) + '"}}',
    "a payload whose white space is too long": TASK[:-2] + "{" + " " * 256 * KIB + "}}",
    "a body of 321 KiB": TASK + " " * 321 * KIB + "}",
}


@pytest.mark.parametrize("body", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_what_is_too_large_is_413(api: httpx.AsyncClient, stage: Stage, body: str) -> None:
    problem(await api.post("/tasks", content=body), 413)
    assert (await stage.ledger.counts()).accepted == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/x-ndjson"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "text/json"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/+json"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": "application/json", "Content-Encoding": "identity"},
        {"Content-Encoding": "br"},
    ],
    ids=str,
)
async def test_another_media_type_charset_or_any_encoding_is_415(
    api: httpx.AsyncClient, stage: Stage, headers: dict[str, str]
) -> None:
    for path in ("/tasks", "/dead-letters/redrive", "/tasks/t/cancel", "/dead-letters/t/redrive"):
        problem(await api.post(path, content=(TASK + "}").encode(), headers=headers), 415)
    assert (await stage.ledger.counts()).accepted == 0


async def test_a_gzip_bomb_is_415_and_never_unpacked(api: httpx.AsyncClient, stage: Stage) -> None:
    bomb = gzip.compress(b" " * 100 * KIB * KIB)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}

    for path in ("/tasks", "/tasks/batch"):
        problem(await api.post(path, content=bomb, headers=headers), 415)

    assert (await stage.ledger.counts()).accepted == 0


async def test_the_media_type_is_refused_before_the_size_and_the_size_before_the_form(
    api: httpx.AsyncClient,
) -> None:
    large = b"[" * 321 * KIB

    problem(await api.post("/tasks", content=large, headers={"Content-Type": "text/plain"}), 415)
    problem(await api.post("/tasks", content=large), 413)


async def test_a_refusal_names_no_more_than_a_few_of_a_thousand_faults(
    api: httpx.AsyncClient,
) -> None:
    members = ", ".join(f'"x{number}": 1' for number in range(10_000))

    answer = await api.post("/tasks", content=f"{TASK}, {members}}}")

    assert len(pointers(answer)) <= 100
    assert len(answer.json()["detail"]) < 1_000
