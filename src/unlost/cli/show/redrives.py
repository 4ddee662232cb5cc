"""Redrives as they are shown."""

from __future__ import annotations

from collections.abc import Sequence

from unlost.cli.client.redrives import RedriveSeen, Watch
from unlost.cli.show.output import facts
from unlost.cli.show.progress.bar import Sums, shown
from unlost.cli.show.tables import Columns, table
from unlost.cli.text import moment

COLUMNS = Columns(
    ("redrive", "state", "started", "selected", "succeeded", "died again", "left", "by"),
    whole="redrive",
    spare=("by", "started", "selected"),
)


def print_redrives(redrives: Sequence[RedriveSeen]) -> None:
    """Print them as a table."""
    table(COLUMNS, [_row(one) for one in redrives])


def _row(one: RedriveSeen) -> tuple[str, ...]:
    return (
        one.id,
        one.state,
        moment(one.started_at),
        _number(one.selected),
        str(one.succeeded),
        str(one.died_again),
        _number(one.left),
        one.by or one.api_key or "",
    )


def _number(count: int | None) -> str:
    return "" if count is None else str(count)


def print_redrive(one: RedriveSeen) -> None:
    """Print all that there is to know of one."""
    facts(
        [
            ("redrive", one.id),
            ("state", one.state),
            ("why", one.why or ""),
            ("next", _next(one)),
            ("selected", _number(one.selected)),
            ("redriven", str(one.redriven)),
            ("succeeded", str(one.succeeded)),
            ("died again", str(one.died_again)),
            *_rare(one),
            ("made again", ", ".join(one.forget)),
            ("started", moment(one.started_at)),
            ("changed", moment(one.updated_at)),
            ("by", one.by or ""),
            ("key", one.api_key or ""),
            ("reason", one.reason or ""),
        ]
    )


def _next(one: RedriveSeen) -> str:
    """What to do where it has stopped and left some."""
    if one.state != "stopped" or not one.left:
        return ""
    stay = "1 stays" if one.left == 1 else f"{one.left} stay"
    return f"{stay} dead; once the cause is gone, another `unlost dead redrive` takes what is left"


def print_sums(one: RedriveSeen) -> None:
    """Print its sums; of those that are rarely there, only what is not zero."""
    facts(
        [
            ("redriven", str(one.redriven)),
            ("succeeded", str(one.succeeded)),
            ("died again", str(one.died_again)),
            *_rare(one),
        ]
    )


def _rare(one: RedriveSeen) -> list[tuple[str, str]]:
    rare = (
        ("cancelled", one.cancelled),
        ("gone", one.gone),
        ("under way", one.under_way),
        ("left", one.left),
    )
    return [(name, str(count)) for name, count in rare if count]


def watch(redrive: Watch) -> None:
    """Show its progress on stderr until it takes no more.  Raises NoService, Refused."""

    def sums() -> Sums:
        return Sums(redrive.seen.ended, redrive.seen.succeeded, redrive.seen.died_again)

    redrive.until_counted()
    with shown(redrive.seen.selected, sums, "succeeded", "died again") as refresh:
        redrive.until_the_end(refresh)
