"""What a handler submits with its success."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Final

from unlost.asked import arguments
from unlost.asked.submission import Rules
from unlost.task import Submission

MOST: Final = 40
"""Tasks that one attempt may submit."""

MOST_BYTES: Final = 1024 * 1024
"""Bytes that their payloads may have together."""


class FollowUps:
    """The tasks that one attempt submits."""

    def __init__(self, secret: str, rules: Rules) -> None:
        """`secret` is the attempt's own: ids are made of it that nobody else can know."""
        self.tasks: list[Submission] = []
        self._secret = secret
        self._rules = rules
        self._bytes = 0

    def add(
        self, payload: Mapping[str, object], task_id: str | None, options: Mapping[str, object]
    ) -> str:
        """The id of the task that is to follow.  Raises ValueError."""
        text = arguments.payload(payload)
        if len(self.tasks) == MOST:
            raise ValueError(f"an attempt submits at most {MOST} tasks")
        size = self._bytes + len(text.encode())
        if size > MOST_BYTES:
            raise ValueError(f"what an attempt submits has at most {MOST_BYTES} bytes of payloads")
        named = id_of(self._secret, len(self.tasks)) if task_id is None else task_id
        asked = {"taskId": named, **arguments.options(options)}
        self.tasks.append(arguments.submission(asked, text, self._rules))
        self._bytes = size
        return named


def id_of(secret: str, number: int) -> str:
    """The id of a follow-up that names none: the same if its very attempt is told of again, of no
    other, and known to nobody.  `secret` is the attempt's own (see `secret_of`)."""
    name = f"{secret}\0{number}"
    return "follow-up_" + hashlib.sha256(name.encode()).hexdigest()[:40]


def secret_of(task_id: str, token: str) -> str:
    """What only this attempt has."""
    return f"{task_id}\0{token}"
