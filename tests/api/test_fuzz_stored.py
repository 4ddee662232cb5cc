"""Whatever is submitted in whatever form: a 2xx is there afterwards, and nothing else is.

A model that shares no code with the service says what each answer must be.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api import oracle
from tests.api.fuzzed import Fuzzed, fuzzed
from tests.api.made_up import damaged, tasks
from tests.api.oracle import Model

EXAMPLES = 120
JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
OWN = b"~~"
"""Stands in ids for the number of the example, so that each has ids of its own."""

made_up = tasks(st.sampled_from(["~~0", "~~1", "~~/2"]))
blank = st.sampled_from([b"", b" ", b"\t\r"])
numbers = count()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fuzzed]:
    with fuzzed(tmp_path_factory.mktemp("stored")) as running:
        yield running


@pytest.fixture(scope="module")
def client(service: Fuzzed) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, trust_env=False, timeout=30) as http:
        yield http


def results(answer: httpx.Response) -> int | list[int]:
    """The statuses of a batch's tasks, or its own."""
    if answer.status_code != 200:
        return answer.status_code
    body = answer.json()
    statuses: list[int] = [one["status"] for one in body["results"]]
    summed = (body["accepted"], body["replayed"], body["rejected"])
    assert summed == (statuses.count(202), statuses.count(200), sum(s > 299 for s in statuses))
    return statuses


@given(st.lists(made_up | damaged(made_up) | blank, max_size=6), st.lists(made_up, max_size=4))
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_what_is_answered_2xx_is_stored_and_nothing_else(
    service: Fuzzed, client: httpx.Client, odd: list[bytes], right: list[bytes]
) -> None:
    own = b"%d-" % next(numbers)
    odd, right = ([body.replace(OWN, own) for body in bodies] for bodies in (odd, right))
    model, before = Model(), service.counts().accepted

    for body in odd[:2]:
        assert client.post("/tasks", content=body).status_code == model.submit(body)
    lines = b"\n".join(odd)
    answer = client.post("/tasks/batch", content=lines, headers=NDJSON)
    assert results(answer) == model.submit_lines(lines)
    for elements in (odd, right):
        array = b'{"tasks": [' + b",".join(elements) + b"]}"
        answer = client.post("/tasks/batch", content=array, headers=JSON)
        assert results(answer) == model.submit_array(array)
    for body in right:
        assert client.post("/tasks", content=body).status_code == model.submit(body)

    assert service.counts().accepted - before == len(model.known)
    for task_id, (_, payload, _) in model.known.items():
        shown = client.get(f"/tasks/{quote(task_id, safe='')}")
        assert oracle.same(oracle.tree(shown.content)["payload"]) == payload
