"""Redrives of a service, which it does by itself: begun, looked at, and watched until they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

import msgspec

from unlost.cli.client.connection import Service, read
from unlost.cli.client.delivery import CLOCK, Clock
from unlost.cli.client.insisting import insist
from unlost.cli.text import cell

AWAY = 60.0
"""Seconds that a service may be away while a redrive is watched: it goes on when it is back."""

LOOK_EVERY = 0.3
"""Seconds from one look to the next."""


class RedriveSeen(msgspec.Struct, rename="camel"):
    """How a redrive stands.  `selected` and `left` are None until it has counted them."""

    id: str
    state: str
    redriven: int
    succeeded: int
    died_again: int
    cancelled: int
    gone: int
    under_way: int
    started_at: datetime
    updated_at: datetime
    selected: int | None = None
    left: int | None = None
    why: str | None = None
    by: str | None = None
    reason: str | None = None
    api_key: str | None = None
    forget: tuple[str, ...] = ()

    @property
    def goes_on(self) -> bool:
        """Whether it may still redrive some, or waits for those that it did."""
        return self.state in ("canary", "running")

    @property
    def ended(self) -> int:
        """How many are over, in whatever way."""
        return self.succeeded + self.died_again + self.cancelled + self.gone


def how_to_look(redrive_id: str) -> str:
    """What shows how a redrive goes on."""
    return f"`unlost redrives {cell(redrive_id)}` shows how"


def goes_on(redrive_id: str) -> str:
    """What to say where a redrive is not watched any more."""
    return f"it goes on by itself; {how_to_look(redrive_id)}"


class RedrivesSeen(msgspec.Struct, rename="camel"):
    """A page of redrives, each as the text that the service sent."""

    redrives: list[msgspec.Raw]
    next_cursor: str | None = None


def redrive_path(redrive_id: str, suffix: str = "") -> str:
    """The path of one redrive."""
    return f"/redrives/{quote(redrive_id, safe='')}{suffix}"


def begin(service: Service, body: Mapping[str, object]) -> RedriveSeen:
    """Begin a redrive, which `body` says with its id.  Raises NoService, Refused."""
    text = msgspec.json.encode(body)
    answer = insist(lambda: service.post("/redrives", text, expected=(200, 201)))
    return read(answer, RedriveSeen)


def look(service: Service, redrive_id: str) -> RedriveSeen:
    """A redrive as it stands now.  Raises NoService, Refused."""
    path = redrive_path(redrive_id)
    return read(insist(lambda: service.get(path), AWAY), RedriveSeen)


@dataclass
class Watch:
    """A redrive, as it was last seen."""

    service: Service
    seen: RedriveSeen
    clock: Clock = CLOCK

    def look(self) -> None:
        """See how it stands now.  Raises NoService, Refused."""
        self.seen = look(self.service, self.seen.id)

    def until_counted(self) -> None:
        """Wait until it has counted what it means, which takes a moment."""
        while self.seen.selected is None and self.seen.goes_on:
            self.clock.sleep(LOOK_EVERY)
            self.look()

    def until_the_end(self, refresh: Callable[[], None]) -> None:
        """Wait until it takes no more; `refresh` is called after each look."""
        while self.seen.goes_on:
            self.clock.sleep(LOOK_EVERY)
            self.look()
            refresh()
