"""What each call sends."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from unlost.client.core import calls
from unlost.jsontext import NotEncodable


def said(call: calls.Call[Any]) -> Any:
    return json.loads(call.request.body or b"null")


@pytest.mark.parametrize(
    ("task_id", "path"),
    [
        ("order-17", "/tasks/order-17"),
        ("a/b?c#d e%", "/tasks/a%2Fb%3Fc%23d%20e%25"),
        ("..", "/tasks/%2E%2E"),
        ("ä", "/tasks/%C3%A4"),
    ],
)
def test_any_id_goes_into_a_path(task_id: str, path: str) -> None:
    assert calls.get(task_id).request.path == path


@pytest.mark.parametrize("task_id", ["", "\ud800"])
def test_what_can_be_no_id_is_said_before_anything_is_sent(task_id: str) -> None:
    with pytest.raises(ValueError, match=r"empty|surrogates"):
        calls.get(task_id)


def test_options_go_by_their_names_in_the_api_and_none_is_left_out() -> None:
    at = datetime(2026, 1, 2, 3, tzinfo=timezone(timedelta(hours=1)))
    given = {"run_at": at, "max_retries": 0, "timeout_seconds": 1.5, "key": None, "type": "mail"}
    assert said(calls.submit("a", {"some_key": 1}, given)) == {
        "taskId": "a",
        "runAt": "2026-01-02T03:00:00+01:00",
        "maxRetries": 0,
        "timeoutSeconds": 1.5,
        "type": "mail",
        "payload": {"some_key": 1},
    }


@pytest.mark.parametrize("payload", [{"n": float("nan")}, {1: 2}, {"n": object()}, {"n": "\ud800"}])
def test_what_json_cannot_hold_is_a_value_error(payload: dict[str, object]) -> None:
    with pytest.raises(NotEncodable):
        calls.submit("a", payload, {})


def test_a_payload_may_be_as_deep_as_the_service_takes_it() -> None:
    payload: dict[str, object] = {}
    for _ in range(127):
        payload = {"a": payload}
    for call in (calls.submit("a", payload, {}), calls.redrive("a", "b", payload, {})):
        assert said(call)["payload"] == payload
    with pytest.raises(NotEncodable, match="128 levels"):
        calls.submit("a", {"a": payload}, {})


def test_a_time_without_its_zone_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="zone"):
        calls.submit("a", {}, {"run_at": datetime(2026, 1, 1)})  # noqa: DTZ001


def test_filters_become_a_query() -> None:
    filters = {
        "id_prefix": "a&b",
        "since": datetime(2026, 1, 1, tzinfo=UTC),
        "include": ["payload", "result"],
        "state": None,
    }
    query = dict(calls.page("/tasks", calls.TaskPage, filters, "c", 7).request.query)
    assert query == {
        "idPrefix": "a&b",
        "since": "2026-01-01T00:00:00+00:00",
        "include": "payload,result",
        "limit": "7",
        "cursor": "c",
    }


def test_none_means_null_only_where_the_api_has_one() -> None:
    begun = calls.begin_redrive("r", {"task_ids": iter("ab"), "tolerate": None, "limit": None})
    assert said(begun) == {"id": "r", "taskIds": ["a", "b"], "tolerate": None}
    changed = calls.change_type("mail", {"key_limit": None, "breaker": {"open_seconds": 3}})
    assert said(changed) == {"keyLimit": None, "breaker": {"openSeconds": 3}}
    assert said(calls.change_type("mail", {"breaker": None})) == {"breaker": None}
