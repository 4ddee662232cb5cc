"""Clients of DynamoDB between which and the table something goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from tests.ledger.tables import new_client

WRITES = {
    "put_item": "PutItem",
    "update_item": "UpdateItem",
    "delete_item": "DeleteItem",
    "transact_write_items": "TransactWriteItems",
    "batch_write_item": "BatchWriteItem",
}


class CutOff:
    """A client one of whose writes brings no answer.

    `at` counts writes from 0; `applied` says whether that one had reached the table.
    """

    def __init__(self, client: Any, at: int, *, applied: bool) -> None:
        self._client = client
        self._left = at
        self._applied = applied
        self._lock = threading.Lock()
        self.happened = False

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return partial(self._write, method) if name in WRITES else method

    def _write(self, method: Callable[..., Any], **arguments: Any) -> Any:
        with self._lock:
            mine = self._left == 0
            self._left -= 1
        if not mine:
            return method(**arguments)
        self.happened = True
        if self._applied:
            with suppress(ClientError):  # it may be refused: nobody hears of that, either
                method(**arguments)
        raise ReadTimeoutError(endpoint_url="here")


class Interfered:
    """A real client whose answers are tampered with on the wire.

    `interfere` is asked for each request before it is sent, with its operation, the request, and
    a function that sends it; what it returns is the answer, None lets the request be sent.
    """

    def __init__(self, url: str) -> None:
        self.client = new_client(url)
        self.interfere: Callable[[str, Any, Callable[[], AWSResponse]], AWSResponse | None] | None
        self.interfere = None
        self._session = URLLib3Session()
        self.client.meta.events.register("before-send.dynamodb", self._before_send)

    def _before_send(self, request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if self.interfere is None:
            return None
        operation = event_name.rpartition(".")[2]
        return self.interfere(operation, request, lambda: self._session.send(request))

    def close(self) -> None:
        self.client.close()
        self._session.close()


class LostAnswer:
    """Lets the `at`-th write reach the table, and its answer get lost."""

    def __init__(self, at: int) -> None:
        self._left = at
        self._lock = threading.Lock()
        self.happened = False

    def __call__(
        self, operation: str, request: Any, send: Callable[[], AWSResponse]
    ) -> AWSResponse | None:
        if operation not in WRITES.values():
            return None
        with self._lock:
            mine = self._left == 0
            self._left -= 1
        if not mine:
            return None
        self.happened = True
        send()
        raise ReadTimeoutError(endpoint_url=request.url)


class Meeting:
    """A client whose first writes wait for each other, as many as take part.

    So each has read before any has written, and they really race.
    """

    def __init__(self, client: Any, parties: int) -> None:
        self._client = client
        self._barrier = threading.Barrier(parties)
        self._left = parties
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        return partial(self._write, method) if name in WRITES else method

    def _write(self, method: Callable[..., Any], **arguments: Any) -> Any:
        with self._lock:
            self._left -= 1
            first = self._left >= 0
        if first:
            self._barrier.wait(10)
        return method(**arguments)
