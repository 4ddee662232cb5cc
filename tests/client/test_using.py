"""How clients are made, used and closed; and what they never show."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import unlost
from tests.cli.running import Place
from tests.cli.scripted import Reply, scripted
from tests.client.clients import Made
from tests.client.one_source import CLIENT, MADE
from tests.client.one_source import made as made_of
from unlost import AsyncClient, Client, Refused, Unavailable, UnlostError
from unlost.client import NewTask, Problem

KEY = "unlost_" + "k" * 43


@pytest.mark.parametrize("source", MADE)
def test_both_clients_have_one_source(source: str) -> None:
    assert (CLIENT / MADE[source]).read_text() == made_of(source)


def test_both_clients_have_the_same_calls() -> None:
    def calls(kind: object) -> list[tuple[str, str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return [
            (name.removeprefix("a") if name == "aclose" else name, str(inspect.signature(one)))
            for name, one in found
            if not name.startswith("_")
        ]

    names = [name for name, _ in calls(Client)]
    assert sorted(names) == sorted(name for name, _ in calls(AsyncClient))
    assert {"submit", "submit_many", "get", "wait", "cancel", "tasks", "dead_letters", "redrive",
            "discard", "stats", "events", "close"} == set(names)  # fmt: skip


def test_httpx_is_imported_only_when_a_client_is_made() -> None:
    code = (
        "import sys, unlost\n"
        "from unlost import AsyncClient, Client, Conflict, NotFound, Refused, Unavailable\n"
        "assert 'httpx' not in sys.modules\n"
        "Client()\n"
        "assert 'httpx' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_everything_is_named_in_the_package() -> None:
    for name in unlost.__all__:
        assert getattr(unlost, name) is not None
    for error in (unlost.Conflict, unlost.NotFound, Refused, Unavailable):
        assert issubclass(error, UnlostError)
    with pytest.raises(AttributeError):
        _ = unlost.nothing


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNLOST_URL", raising=False)
    monkeypatch.delenv("UNLOST_API_KEY", raising=False)


def test_url_and_key_come_from_the_environment(
    made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    empty = Reply(200, b'{"types": []}')
    with scripted(*[empty] * 4) as script:
        made(script.url).types.list()
        made(script.url, KEY).types.list()
        made(script.url, f"@{file}").types.list()
        monkeypatch.setenv("UNLOST_URL", script.url)
        monkeypatch.setenv("UNLOST_API_KEY", KEY)
        made().types.list()
    assert [one.get("authorization") for one in script.headers] == [None, *[f"Bearer {KEY}"] * 3]


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "localhost:8080", "http://", "http://a?b", "http://a#b", "http://a b",
     "http://a:x", "http://me:secret@a", "http://secret@a"],
)  # fmt: skip
def test_what_can_be_no_url_is_said_without_what_is_secret(made: Made, url: str) -> None:
    with pytest.raises(ValueError, match="a URL is like") as end:
        made(url)
    assert "secret" not in str(end.value)


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "clé"])
def test_what_can_be_no_key_is_not_repeated(made: Made, key: str) -> None:
    with pytest.raises(ValueError, match="an API key is printable ASCII") as end:
        made(api_key=key)
    assert key not in str(end.value)


def test_a_key_that_cannot_be_read_is_told(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UnlostError, match="No such file"):
        made(api_key=f"@{tmp_path}/missing")
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(UnlostError, match="empty holds no key"):
        made(api_key=f"@{tmp_path}/empty")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_the_key_is_shown_nowhere(kind: type, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def trouble(client: Any) -> BaseException:
        try:
            call = client.stats()
            return RuntimeError(await call if inspect.isawaitable(call) else call)
        except UnlostError as error:
            return error
        finally:
            closed = client.close() if kind is Client else client.aclose()
            if inspect.isawaitable(closed):
                await closed

    problem = b'{"type":"urn:unlost:problem:x","title":"X","status":401,"detail":"no"}'
    with scripted(Reply(401, problem), Reply(503), Reply(hang_up=True)) as script:
        for _ in range(3):
            client = kind(script.url, KEY, retry_for=0)
            error = asyncio.run(trouble(client))
            assert KEY not in repr(client) + str(vars(client)) + str(vars(client._edge))
            causes = [error, error.__cause__, error.__context__]
            assert KEY not in "".join(f"{one!r} {one}" for one in causes)
    assert KEY not in caplog.text
    assert caplog.text


def test_errors_can_be_pickled() -> None:
    error = Refused("no (422)", Problem(422, detail="no"), "a")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.problem, again.task_id) == (str(error), error.problem, "a")


def test_what_is_closed_makes_no_calls(made: Made, service: Place) -> None:
    client = made(service.url)
    client.stats()
    client.close()
    client.close()
    with pytest.raises(RuntimeError, match="this client is closed"):
        client.stats()
    with pytest.raises(RuntimeError, match="this client is closed"):
        list(client.submit_many([{"payload": {}}]))
    with pytest.raises(RuntimeError, match="this client is closed"):
        next(client.events())


def test_clients_are_context_managers(service: Place) -> None:
    with Client(service.url) as client:
        client.stats()
    with pytest.raises(RuntimeError):
        client.stats()


async def test_an_async_client_is_one_too(service: Place) -> None:
    async with AsyncClient(service.url) as client:
        assert (await client.stats()).lost == 0
    with pytest.raises(RuntimeError):
        await client.stats()


def test_an_async_client_belongs_to_one_loop(service: Place) -> None:
    client = AsyncClient(service.url)
    with asyncio.Runner() as runner:
        runner.run(client.stats())
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            asyncio.run(client.stats())
        with pytest.raises(RuntimeError, match="belongs to another event loop"):
            asyncio.run(client.aclose())
        runner.run(client.aclose())


async def test_many_calls_at_once_share_an_async_client(service: Place) -> None:
    async with AsyncClient(service.url) as client:
        tasks = await asyncio.gather(*(client.submit({"n": number}) for number in range(60)))
    assert len({task.task_id for task in tasks}) == 60


async def test_an_async_client_takes_tasks_that_come_by_and_by(service: Place) -> None:
    async def tasks() -> AsyncIterator[NewTask]:
        for number in range(3):
            await asyncio.sleep(0)
            yield {"payload": {"n": number}}

    async with AsyncClient(service.url) as client:
        assert [one.status async for one in client.submit_many(tasks())] == [202] * 3
        results = client.submit_many([{"payload": {}}])
        assert (await anext(results)).status == 202


async def test_who_waits_no_more_leaves_nothing_behind(service: Place) -> None:
    async with AsyncClient(service.url) as client:
        task = await client.submit({}, delay_seconds=60)
        waiting = asyncio.create_task(client.wait(task.task_id, 60))
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async for _ in client.submit_many({"payload": {}} for _ in range(5_000)):
            break
    gc.collect()


def test_results_that_nobody_wants_are_warned_of(made: Made, service: Place) -> None:
    client = made(service.url)
    before = client.stats().accepted
    with pytest.warns(RuntimeWarning, match="nothing was submitted"):
        client.submit_many([{"payload": {}}])
    assert client.stats().accepted == before


def test_who_takes_no_more_results_ends_what_would_be_tried_again() -> None:
    def tasks() -> Iterator[NewTask]:
        for number in range(1_001):
            yield {"payload": {"n": number}}
        raise LookupError

    began = time.monotonic()
    with Client("http://127.0.0.1:9", retry_for=3600) as client, pytest.raises(LookupError):
        list(client.submit_many(tasks()))
    assert time.monotonic() - began < 30


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_fork_reads_no_answers_of_its_parent(service: Place) -> None:
    code = f"""
import os, unlost
client = unlost.Client({service.url!r})
client.stats()
child = os.fork()
name = "child" if child == 0 else "parent"
for number in range(40):
    assert client.submit({{}}, task_id=f"{{name}}-{{number}}").task_id == f"{{name}}-{{number}}"
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60)
