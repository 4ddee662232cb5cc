"""A ledger that answers as a service on it would: the API in this process, without a socket."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

import httpx

from unlost.api.app import create_app
from unlost.api.frame import on_ledger
from unlost.cli.failures import Failed
from unlost.cli.ledgers.opening import told
from unlost.ledger.opening import open_ledger
from unlost.settings import Settings, value_of

T = TypeVar("T")


class Direct(httpx.BaseTransport):
    """Brings a client's requests to the ledger that `url` names, which must exist; with `reading`
    only such as look at it.

    The ledger lives in a loop of its own, so that it goes on while nobody asks.  Raises WrongUsage
    and Failed, as `on_ledger` does; a call that the ledger cannot answer is Failed with the reason.
    `settings` are those of a service that would run on it, where more than looking at it is meant.
    """

    def __init__(self, url: str, *, reading: bool, settings: Settings | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        try:
            with told():
                self._ledger = self._do(open_ledger(url, must_exist=True, reading=reading))
        except BaseException:
            self._end()
            raise
        self._why = ""
        settings = settings or Settings(redact=value_of("redact", {}, os.environ))
        app = create_app(self._ledger, settings, unavailable=self, frame=on_ledger(url))
        self._app = httpx.ASGITransport(app)

    def tell(self, why: str, *, every: float = 0) -> None:
        """The app says why it is about to answer 503."""
        self._why = why

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._why = ""
        answer = self._do(self._ask(request))
        if self._why:
            raise Failed(self._why)
        return answer

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        answer = await self._app.handle_async_request(request)
        content = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    def close(self) -> None:
        self._do(self._ledger.close())
        self._end()

    def _do(self, step: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
