"""Where a client meets the network, the clock and other tasks or threads: once with asyncio, once
without.  httpx is imported here alone, and only when a client is made."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable
from concurrent.futures import Future
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from unlost.client.address import Address
from unlost.client.core.wire import NOTHING, Answer, NoAnswer, Pause, Reply, Request, Steps, words
from unlost.client.errors import UnlostError
from unlost.client.options import NewTask

if TYPE_CHECKING:
    import ssl

    import httpx

T = TypeVar("T")

AsyncTasks = Iterable[NewTask] | AsyncIterable[NewTask]
Tasks = Iterable[NewTask]
"""Tasks to submit."""

CONNECT: Final = 5.0
"""Seconds that a connection may take."""

CLOSED: Final = "this client is closed"


def _arguments(address: Address, timeout: float) -> dict[str, Any]:
    """What a client of httpx is made with."""
    import httpx  # noqa: PLC0415

    return {
        "base_url": address.url,
        "headers": address.headers(),
        # A call that waits for another's connection is not late.
        "timeout": httpx.Timeout(timeout, connect=min(timeout, CONNECT), pool=None),
        # The environment's proxies must not see what goes to this machine, nor its .netrc
        # replace the key.
        "trust_env": False,
        "verify": _trust(address.url),
    }


def _trust(url: str) -> ssl.SSLContext:
    """The system's certificates, loaded only where they matter."""
    import ssl  # noqa: PLC0415

    if url.startswith("https:"):
        return ssl.create_default_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _built(
    http: httpx.Client | httpx.AsyncClient, request: Request, timeout: float
) -> httpx.Request:
    import httpx  # noqa: PLC0415

    limits = httpx.Timeout(timeout + request.waits, connect=min(timeout, CONNECT), pool=None)
    return http.build_request(
        request.method,
        request.path,
        params=request.query or None,
        content=request.body,
        headers=None if request.body is None else {"content-type": request.content_type},
        timeout=limits,
    )


def _answer(response: httpx.Response) -> Answer:
    headers = response.headers
    return Answer(
        response.status_code,
        response.content,
        headers.get("retry-after", ""),
        headers.get("date", ""),
    )


def _why_none(error: httpx.HTTPError, url: str) -> NoAnswer:
    """Why no answer came.  Raises UnlostError where none ever would."""
    import httpx  # noqa: PLC0415

    if isinstance(error, httpx.ConnectError):
        return NoAnswer(f"no service at {url} ({words(error)})")
    if isinstance(error, httpx.TimeoutException):
        return NoAnswer(f"{url} did not answer in time")
    if isinstance(error, httpx.TransportError):
        return NoAnswer(f"the connection to {url} broke ({words(error)})")
    raise UnlostError(f"cannot talk to {url} ({error})") from error


AsyncFlight = asyncio.Task


class AsyncEdge:
    """With asyncio, for one event loop: the one in which it is first used."""

    def __init__(self, address: Address, timeout: float) -> None:
        import httpx  # noqa: PLC0415

        self._address, self._timeout = address, timeout
        self._http = httpx.AsyncClient(**_arguments(address, timeout))
        self._loop: asyncio.AbstractEventLoop | None = None

    async def run(self, steps: Steps[T]) -> T:
        """Do what the steps say, and return what they come to."""
        self._check()
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = steps.send(NOTHING)
                else:
                    step = steps.send(await self._reply(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    async def stream(self, request: Request) -> AsyncGenerator[bytes | Reply, None]:
        """An answer that has no end, piece by piece; the last is why it has one all the same."""
        import httpx  # noqa: PLC0415

        self._check()
        built = _built(self._http, request, self._timeout)
        try:
            response = await self._sent(built, stream=True)
            try:
                if response.status_code == 200:
                    async for piece in response.aiter_bytes():
                        yield piece
                else:
                    await response.aread()
                    yield _answer(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            yield _why_none(error, self._address.url)

    async def begin(self, steps: Steps[T]) -> asyncio.Task[T]:
        """Begin to do what the steps say, beside what follows."""
        self._check()
        flight = asyncio.get_running_loop().create_task(self.run(steps))
        await asyncio.sleep(0)
        return flight

    async def landed(self, flight: asyncio.Task[T]) -> T:
        """What it came to."""
        return await flight

    async def each(self, items: Iterable[T] | AsyncIterable[T]) -> AsyncIterator[T]:
        """The items, whichever way they come."""
        if isinstance(items, AsyncIterable):
            async for item in items:
                yield item
        else:
            for item in items:
                yield item

    async def pause(self, pause: Pause) -> None:
        """Let its time pass."""
        await asyncio.sleep(pause.seconds)

    async def close(self) -> None:
        """Close its connections."""
        if not self._http.is_closed:
            self._check()
            await self._http.aclose()

    def _check(self) -> None:
        if self._http.is_closed:
            raise RuntimeError(CLOSED)
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("this AsyncClient belongs to another event loop; make one for each")

    async def _reply(self, request: Request) -> Reply:
        import httpx  # noqa: PLC0415

        try:
            return _answer(await self._sent(_built(self._http, request, self._timeout)))
        except httpx.HTTPError as error:
            return _why_none(error, self._address.url)

    async def _sent(self, request: httpx.Request, *, stream: bool = False) -> httpx.Response:
        """The answer.  Raises httpx.HTTPError.

        On uvloop, a connection that ends in the moment in which it is made has no socket any more,
        which what is below httpx asks for its address.
        """
        import httpx  # noqa: PLC0415

        try:
            return await self._http.send(request, stream=stream)
        except AttributeError as error:
            if error.obj is None and error.name == "getpeername":
                raise httpx.ConnectError("it ended at once", request=request) from error
            raise


class Flight(Thread, Generic[T]):
    """Steps that a thread does, which keeps no process alive."""

    def __init__(self, edge: Edge, steps: Steps[T]) -> None:
        super().__init__(daemon=True)
        self.stop = Event()
        self.future: Future[T] = Future()
        self._edge, self._steps = edge, steps

    def run(self) -> None:
        """In the thread."""
        try:
            self.future.set_result(self._edge.run(self._steps, self.stop))
        except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
            self.future.set_exception(error)

    def done(self) -> bool:
        """Whether it has come to its end."""
        return self.future.done()

    def cancel(self) -> None:
        """Let it make nothing again."""
        self.stop.set()


class Edge:
    """Without asyncio.  Its calls may come from several threads."""

    def __init__(self, address: Address, timeout: float) -> None:
        self._address, self._timeout = address, timeout
        self._open()

    def _open(self) -> None:
        import httpx  # noqa: PLC0415

        self._http = httpx.Client(**_arguments(self._address, self._timeout))
        self._process = os.getpid()

    def run(self, steps: Steps[T], stop: Event | None = None) -> T:
        """Do what the steps say, and return what they come to; after `stop`, nothing more."""
        self._check()
        stop = stop or Event()
        try:
            step = next(steps)
            while not stop.is_set():
                if isinstance(step, Pause):
                    stop.wait(step.seconds)
                    step = steps.send(NOTHING)
                else:
                    step = steps.send(self._reply(step))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        raise UnlostError("nobody waits for this any more")

    def stream(self, request: Request) -> Generator[bytes | Reply, None, None]:
        """An answer that has no end, piece by piece; the last is why it has one all the same."""
        import httpx  # noqa: PLC0415

        self._check()
        built = _built(self._http, request, self._timeout)
        try:
            response = self._http.send(built, stream=True)
            try:
                if response.status_code == 200:
                    yield from response.iter_bytes()
                else:
                    response.read()
                    yield _answer(response)
            finally:
                response.close()
        except httpx.HTTPError as error:
            yield _why_none(error, self._address.url)

    def begin(self, steps: Steps[T]) -> Flight[T]:
        """Begin to do what the steps say, beside what follows."""
        self._check()
        flight = Flight(self, steps)
        flight.start()
        return flight

    def landed(self, flight: Flight[T]) -> T:
        """What it came to."""
        return flight.future.result()

    def each(self, items: Iterable[T]) -> Iterable[T]:
        """The items."""
        return items

    def pause(self, pause: Pause) -> None:
        """Let its time pass."""
        time.sleep(pause.seconds)

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _check(self) -> None:
        if self._http.is_closed:
            raise RuntimeError(CLOSED)
        if self._process != os.getpid():
            # A fork has the same connections: two processes would read each other's answers.
            self._open()

    def _reply(self, request: Request) -> Reply:
        import httpx  # noqa: PLC0415

        try:
            return _answer(self._http.send(_built(self._http, request, self._timeout)))
        except httpx.HTTPError as error:
            return _why_none(error, self._address.url)
