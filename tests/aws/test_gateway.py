"""No name is misread behind the gateway, whatever it is and whatever is called on it."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.aws.functions import request
from tests.aws.handing_on import CAPTURED, handed_on
from tests.conformance.stage import Clock
from unlost.api.app import create_app
from unlost.api.http.routing import Router
from unlost.api.openapi.operation import Operation
from unlost.api.problems import NotAllowed, NotFound, UnclearPath
from unlost.asked import checks
from unlost.asked.names import CALLS
from unlost.aws import api, environment
from unlost.aws.gateway import NAMED, Gateway, raw_path
from unlost.ledger.memory import MemoryLedger
from unlost.settings import Settings

FRAME = api.frame(environment.read({"UNLOST_TABLE": "tasks"}))
ROUTES = create_app(MemoryLedger(Clock()), Settings(), Clock(), frame=FRAME).routes
ROUTER = Router(ROUTES, decoded=FRAME.decoded_paths)
NAMING = [
    route.operation
    for route in ROUTES
    if {"{taskId}", "{type}"} & set(route.operation.path.split("/"))
]

Read = tuple[Operation, Any]


def read(method: str, path: str) -> Read:
    """What the app takes a call for, by the path that the gateway hands on."""
    config: Any = {"api_gateway_base_path": "/"}
    context: Any = None
    scope = dict(Gateway(request(method, path), context, config).scope)
    return ROUTER.find(scope).operation, scope.get("path_params")


def called(operation: Operation, name: str) -> tuple[str, Read]:
    """The path of this call on this name as clients send it, and what it is to be taken for."""
    [part] = [part for part in operation.path.split("/") if part.startswith("{")]
    sent = operation.path.replace(part, quote(name, safe=""))
    return sent, (operation, {part[1:-1]: name})


def is_accepted(name: str) -> bool:
    try:
        FRAME.name(checks.task_id)(name)
    except checks.Wrong:
        return False
    return True


PIECES = sorted(CALLS | {"a", "b", "batch", "groups", "tasks", "", ".", "..", " ", "+", "#", ";",
                         "é", "✓", "a&b", "%", "%2F", "%252F", "?", "%3F", "50% off"})  # fmt: skip
NAMES = st.one_of(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("/".join),
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20),
)


@pytest.mark.parametrize(("sent", "path"), CAPTURED.items())
def test_the_gateway_is_taken_for_what_was_captured(sent: str, path: str | None) -> None:
    assert handed_on(sent) == path


@given(name=NAMES.filter(is_accepted), operation=st.sampled_from(NAMING))
@example(name="a/b", operation=NAMING[0])
def test_a_name_that_is_accepted_is_read_as_itself(name: str, operation: Operation) -> None:
    sent, meant = called(operation, name)
    path = handed_on(sent)
    assert path is not None
    assert read(operation.method, path) == meant


@given(
    name=NAMES.filter(lambda name: not {"%", "?"} & set(name) and name not in {"", ".", ".."}),
    operation=st.sampled_from([one for one in NAMING if one.method != "GET"]),
)
def test_nothing_is_done_to_another_task_than_one_that_ends_like_a_call(
    name: str, operation: Operation
) -> None:
    """What was stored before such names were refused, or came by an import."""
    sent, meant = called(operation, name)
    path = handed_on(sent)
    assert path is not None
    try:
        assert read(operation.method, path) == meant
    except (NotAllowed, NotFound):
        assert name.rpartition("/")[2] in CALLS


@pytest.mark.parametrize(
    "left", ["/tasks/a%2Fb", "/tasks/%", "/tasks/a?b", "/x%", "/types/50%/pause"]
)
def test_a_path_in_which_something_is_left_to_decode_leads_nowhere(left: str) -> None:
    for method in ("GET", "POST", "PATCH", "DELETE"):
        with pytest.raises(UnclearPath):
            read(method, left)


@pytest.mark.parametrize(
    "name",
    [
        "%",
        "a?",
        "a%2Fb",
        *sorted(CALLS),
        *(f"a/{call}" for call in sorted(CALLS)),
        "/stop",
        "..//why",
    ],
)
def test_names_that_could_be_misread_are_not_accepted(name: str) -> None:
    assert not is_accepted(name)


@pytest.mark.parametrize("name", ["cancelled", "a/cancel/b", "a-run", "run/", "Why", "re/run.1"])
def test_names_that_are_only_like_a_call_are_accepted(name: str) -> None:
    assert is_accepted(name)


def test_whatever_is_called_on_a_name_is_known_as_a_call() -> None:
    for operation in NAMING:
        root, _, *call = operation.path.removeprefix("/").split("/")
        assert root in NAMED
        assert len(call) <= 1
        assert set(call) <= CALLS


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/", b"/"),
        ("/tasks", b"/tasks"),
        ("/tasks/", b"/tasks/"),
        ("/tasks/t", b"/tasks/t"),
        ("/tasks/batch", b"/tasks/batch"),
        ("/dead-letters/redrive", b"/dead-letters/redrive"),
        ("/tasks/a b#c", b"/tasks/a%20b%23c"),
        ("/tasks/a//cancel", b"/tasks/a%2F/cancel"),
        ("/dead-letters/a//", b"/dead-letters/a%2F%2F"),
        ("/types/a/b/pause", b"/types/a%2Fb/pause"),
        ("/types/a/b", b"/types/a%2Fb"),
        ("/console/parts/api.js", b"/console/parts/api.js"),
        ("/tasks/\ud800", b"/tasks/%3F"),
    ],
)
def test_a_path_is_put_together_again(path: str, sent: bytes) -> None:
    assert raw_path(path) == sent
