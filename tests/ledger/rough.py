"""Clients that answer as AWS may and the emulator never does."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ReadTimeoutError


class Rough:
    """A boto3 client that answers in part: few items a page, half of the keys of a batch.

    As DynamoDB does at 1 MB, at 16 MB and under load.
    """

    def __init__(self, client: Any, most: int = 2) -> None:
        self._client = client
        self._most = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def query(self, **arguments: Any) -> Any:
        return self._client.query(
            **arguments | {"Limit": min(arguments.get("Limit", 9), self._most)}
        )

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803 - boto3's name
        ((table, wanted),) = RequestItems.items()
        keys = wanted["Keys"]
        half = -(-len(keys) // 2)
        now, later = wanted | {"Keys": keys[:half]}, wanted | {"Keys": keys[half:]}
        answer = self._client.batch_get_item(RequestItems={table: now})
        return answer | {"UnprocessedKeys": {table: later} if later["Keys"] else {}}


class Lagging:
    """A boto3 client whose indexes stand still from `stop` to `go`, as they may for seconds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._answers: dict[str, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def stop(self) -> None:
        self._answers = {}

    def go(self) -> None:
        self._answers = None

    def query(self, **arguments: Any) -> Any:
        if self._answers is None or "IndexName" not in arguments:
            return self._client.query(**arguments)
        asked = repr(arguments)
        if asked not in self._answers:
            self._answers[asked] = self._client.query(**arguments)
        return self._answers[asked]


class Cut:
    """A boto3 client whose connection breaks after its next transaction, before the answer."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.breaks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def transact_write_items(self, **arguments: Any) -> Any:
        answer = self._client.transact_write_items(**arguments)
        if self.breaks:
            self.breaks -= 1
            raise ReadTimeoutError(endpoint_url="http://127.0.0.1")
        return answer
