"""What became of the submitted lines, counted."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from unlost.cli.client.delivery import Answer
from unlost.cli.client.ndjson import Item
from unlost.cli.show.progress.bar import Sums
from unlost.cli.text import one_line

LISTED = 100
"""How many rejected lines are kept to be listed; the others are only counted."""


class Rejection(msgspec.Struct, frozen=True, rename="camel"):
    """A line that the service would not take, and why."""

    line: int
    task_id: str | None
    status: int
    detail: str


@dataclass
class Tally:
    """The sums so far.  `read` is in bytes of the source."""

    accepted: int = 0
    replayed: int = 0
    rejected: int = 0
    read: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def taken(self) -> int:
        """How many tasks the service has."""
        return self.accepted + self.replayed

    def sums(self) -> Sums:
        """As the progress shows them."""
        return Sums(self.read, self.taken, self.rejected)

    def add(self, items: Iterable[Item], answers: Iterable[Answer]) -> None:
        """Count the answers to these items."""
        for item, answer in zip(items, answers, strict=True):
            self.read = item.read
            if answer.status == 202:
                self.accepted += 1
            elif answer.status == 200:
                self.replayed += 1
            else:
                task_id = answer.task_id or item.task_id
                self.reject(Rejection(item.line, task_id, answer.status, answer.detail))

    def reject(self, rejection: Rejection) -> None:
        """Count a line that was not taken."""
        self.rejected += 1
        if len(self.rejections) < LISTED:
            self.rejections.append(rejection)

    def print(self, seconds: float, *, as_json: bool) -> None:
        """Print the sums on stdout and, for a person, the rejected lines on stderr."""
        sums = {
            "accepted": self.accepted,
            "replayed": self.replayed,
            "rejected": self.rejected,
            "seconds": round(seconds, 3),
        }
        if as_json:
            print(msgspec.json.encode(sums | {"rejections": self._listed()}).decode())
            return
        self._list_rejections()
        rate = self.taken / seconds if seconds > 0 else 0
        print(
            f"{self.accepted} accepted, {self.replayed} replayed, {self.rejected} rejected"
            f" in {seconds:.1f} s ({rate:.0f}/s)"
        )

    def _list_rejections(self) -> None:
        for item in self._listed():
            name = f" ({item.task_id})" if item.task_id else ""
            print(one_line(f"line {item.line}{name}: {item.status} {item.detail}"), file=sys.stderr)
        more = self.rejected - len(self.rejections)
        if more:
            print(f"and {more} more", file=sys.stderr)

    def _listed(self) -> list[Rejection]:
        return sorted(self.rejections, key=lambda rejection: rejection.line)
