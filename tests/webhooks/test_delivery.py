"""From the end of a task to its receiver: a real worker, real connections, in this process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from random import Random
from typing import Any

import pytest

from tests.conformance.stage import must_add_up, submission
from tests.webhooks.receiver import OLDER, SECRET, receiving
from unlost import Handlers, Reject, Task, carried
from unlost.carried import Carried
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.ledger.values import Query
from unlost.settings import Settings
from unlost.task import SECOND, WEBHOOK_TYPE, Record, State
from unlost.webhooks.serving import serving
from unlost.worker.worker import Worker

handlers = Handlers()


@handlers.task("default")
async def works(task: Task) -> Any:
    if "reject" in task.payload:
        raise Reject(task.payload["reject"])
    return task.payload


class Service:
    """A ledger with a worker on it."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger

    async def submit(self, task_id: str, url: str | None = None, payload: str = "{}") -> None:
        text = carried.write(Carried(url))
        await self.ledger.submit([submission(task_id, payload, carried=text)])

    async def delivery(self, holds: Callable[[Record], object]) -> Record:
        """The one delivery that there is, once this holds."""

        async def find() -> str | None:
            page = await self.ledger.page(Query(type=WEBHOOK_TYPE))
            assert len(page.records) <= 1
            return page.records[0].task_id if page.records else None

        return await self._when(find, holds)

    async def task(self, task_id: str, holds: Callable[[Record], object]) -> Record:
        """A task, once this holds."""

        async def find() -> str:
            return task_id

        return await self._when(find, holds)

    async def _when(
        self, find: Callable[[], Awaitable[str | None]], holds: Callable[[Record], object]
    ) -> Record:
        end = time.monotonic() + 20
        while True:
            name = await find()
            record = await self.ledger.get(name) if name else None
            if record is not None and holds(record):
                return record
            assert time.monotonic() < end, f"not in time: {record}"
            await asyncio.sleep(0.005)


@asynccontextmanager
async def service(served: Handlers = handlers, **settings: Any) -> AsyncIterator[Service]:
    """A service whose webhooks may go to this machine, unless told otherwise."""
    ours: dict[str, Any] = {
        "webhook_secret": SECRET,
        "webhook_allow_private": True,
        "backoff_base": 0.02,
        "grace": 0.0,
    }
    chosen = Settings(**(ours | settings))
    ledger = MemoryLedger(wall_clock)
    worker = Worker(ledger, serving(served, chosen), chosen, worker_id="w", random=Random(1))
    work = asyncio.create_task(worker.run())
    try:
        yield Service(ledger)
        await must_add_up(ledger)
    finally:
        worker.drain()
        await asyncio.wait_for(work, 10)


def dead(record: Record) -> bool:
    return record.state is State.DEAD


def done(record: Record) -> bool:
    return record.state is State.SUCCEEDED


def why(record: Record) -> str:
    assert record.error is not None
    return f"{record.error.type}: {record.error.message}"


async def test_a_success_comes_signed_and_says_what_is_promised() -> None:
    async with receiving() as receiver, service() as running:
        await running.submit("a", receiver.url, '{"n": 12345678901234567890123, "x": 1.50}')
        (request,) = await receiver.got()
        delivery = await running.delivery(done)
    body = request.verified()
    assert (body["type"], body["data"]["taskId"], body["data"]["attempt"]) == (
        "task.succeeded", "a", 1,
    )  # fmt: skip
    assert b'"result":{"n":12345678901234567890123,' in request.body
    assert request.headers["webhook-id"] == delivery.task_id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("unlost/")
    assert abs(int(request.headers["webhook-timestamp"]) - time.time()) < 60
    task = await running.ledger.get("a")
    assert task is not None
    assert body["timestamp"][:19] == time.strftime(
        "%Y-%m-%dT%H:%M:%S", time.gmtime(task.updated_at / SECOND)
    )
    assert delivery.result == '{"status":204}'


async def test_a_death_is_told_too_and_each_secret_signs() -> None:
    async with (
        receiving() as receiver,
        service(webhook_secret=f"{SECRET} {OLDER}", webhook_url=receiver.url) as running,
    ):
        await running.submit("a", payload='{"reject": "no such user"}')
        (request,) = await receiver.got()
        await running.delivery(done)
    for secret in (SECRET, OLDER):
        told = request.verified(secret)
        assert told["type"] == "task.dead_lettered"
        assert told["data"]["error"] == {"type": "Reject", "message": "no such user"}


async def test_a_receiver_that_fails_is_tried_again_with_the_same_id_and_body() -> None:
    answers = ("500 Oops", "404 Not Found", "302 Found\r\nLocation: /other", "200 OK")
    async with receiving(*answers) as receiver, service() as running:
        await running.submit("a", receiver.url)
        requests = await receiver.got(4)
        delivery = await running.delivery(done)
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    assert len({request.body for request in requests}) == 1
    assert {request.line for request in requests} == {"POST /hook?to=me HTTP/1.1"}
    for request in requests:
        request.verified()
    errors = [one.error.message for one in delivery.attempts if one.error is not None]
    assert errors == [f"the receiver answered {status}" for status in (500, 404, 302)]


async def test_a_receiver_that_is_down_is_told_once_it_is_up() -> None:
    async with receiving() as gone:
        port = gone.port
    async with service() as running:
        await running.submit("a", gone.url)
        failed = await running.delivery(lambda record: record.attempt_count > 2)
        assert "NotDelivered: no connection" in why(failed)
        async with receiving(port=port) as receiver:
            (request,) = await receiver.got()
            await running.delivery(done)
    assert request.verified()["data"]["taskId"] == "a"


async def test_410_is_the_end_of_a_delivery() -> None:
    async with receiving("410 Gone") as receiver, service() as running:
        await running.submit("a", receiver.url)
        delivery = await running.delivery(dead)
    assert (delivery.attempt_count, len(receiver.requests)) == (1, 1)
    assert why(delivery) == "Reject: the receiver answered 410: it wants no more"


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_a_receiver_may_ask_for_time(status: str, form: str) -> None:
    until = "120" if form == "seconds" else formatdate(time.time() + 120, usegmt=True)
    answer = f"{status}\r\nRetry-After: {until}"
    async with receiving(answer) as receiver, service() as running:
        await running.submit("a", receiver.url)
        delivery = await running.delivery(lambda record: record.state is State.RETRYING)
    assert delivery.due_at is not None
    assert 115 < (delivery.due_at - delivery.updated_at) / SECOND < 125
    assert "asked to wait" in why(delivery)


async def test_of_two_waits_that_a_receiver_asks_for_the_longer_is_kept() -> None:
    answer = "503 Service Unavailable\r\nRetry-After: 120\r\nX: y\r\nRetry-After: 3"
    async with receiving(answer) as receiver, service() as running:
        await running.submit("a", receiver.url)
        delivery = await running.delivery(lambda record: record.state is State.RETRYING)
    assert delivery.due_at is not None
    assert 115 < (delivery.due_at - delivery.updated_at) / SECOND < 125


@pytest.mark.parametrize("until", ["soon", "-5", "Thu, 01 Jan 1970 00:00:00 GMT", "1" * 400])
async def test_what_a_receiver_asks_for_is_bounded_and_may_be_nonsense(until: str) -> None:
    answer = f"503 Service Unavailable\r\nRetry-After: {until}"
    async with receiving(answer, "204 No Content") as receiver, service() as running:
        await running.submit("a", receiver.url)
        if until.startswith("1"):
            delivery = await running.delivery(lambda record: record.state is State.RETRYING)
            assert delivery.due_at is not None
            assert delivery.due_at - delivery.updated_at == 86_400 * SECOND
        else:
            await running.delivery(done)


async def test_a_private_address_is_refused_at_once_unless_it_is_allowed() -> None:
    async with receiving() as receiver, service(webhook_allow_private=False) as running:
        await running.submit("a", f"https://localhost:{receiver.port}/")
        delivery = await running.delivery(dead)
    assert why(delivery) == "Reject: the URL is at an address that is not public"
    assert (delivery.attempt_count, receiver.connections) == (1, 0)


async def test_plain_http_is_refused_unless_it_is_allowed() -> None:
    async with receiving() as receiver, service(webhook_allow_private=False) as running:
        await running.submit("a", receiver.url)
        delivery = await running.delivery(dead)
    assert why(delivery) == "Reject: the URL must begin with https://"
    assert receiver.connections == 0


async def test_the_services_url_is_the_one_that_holds_at_the_delivery() -> None:
    async with receiving() as receiver, service(webhook_url=receiver.url) as running:
        payload = '{"type": "task.succeeded", "data": {}}'
        await running.ledger.submit([submission("webhook_1", payload, type=WEBHOOK_TYPE)])
        (request,) = await receiver.got()
        await running.delivery(done)
    assert json.loads(request.body)["data"] == {}


async def test_without_a_secret_handlers_of_named_types_leave_deliveries_to_others() -> None:
    without = serving(handlers, Settings())
    assert without.types is not None
    assert set(without.types) == {"default"}
    with_secret = serving(handlers, Settings(webhook_secret=SECRET)).types
    assert with_secret is not None
    assert set(with_secret) == {"default", WEBHOOK_TYPE}


async def test_a_handler_of_every_type_never_gets_a_delivery() -> None:
    seen: list[str] = []

    async def anything(task: Task) -> None:
        seen.append(task.type)

    served = Handlers.for_every_type(anything)
    async with receiving() as receiver, service(served) as running:
        await running.submit("a", receiver.url)
        await running.delivery(done)
    async with service(served, webhook_secret="", backoff_base=0.0) as running:
        await running.submit("b", receiver.url)
        delivery = await running.delivery(dead)
    assert seen == ["default", "default"]
    assert why(delivery) == "WebhooksAreOff: there is no --webhook-secret to sign it with"


async def test_a_receiver_that_does_not_answer_holds_up_nobody_else() -> None:
    async with receiving("") as receiver, service() as running:
        await running.submit("a", receiver.url)
        await receiver.got()
        await running.submit("b")
        await running.task("b", done)
        await running.delivery(lambda record: record.state is State.RUNNING)


@pytest.mark.parametrize("kind", [WEBHOOK_TYPE, "unlost.anything"])
def test_the_service_s_own_types_are_nobodys_to_serve(kind: str) -> None:
    with pytest.raises(ValueError, match="own"):
        Handlers().task(kind)
