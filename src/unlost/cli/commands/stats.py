"""`unlost stats`: the counts, once or live."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

from cyclopts import Parameter

from unlost.cli.client.answers import StatsSeen
from unlost.cli.client.connection import HERE, Connection, NoService, Refused, Service, read
from unlost.cli.failures import WrongUsage
from unlost.cli.options import AsJson, switch
from unlost.cli.show.output import facts, on_terminal, raw
from unlost.cli.text import one_line

UNHANDLED = "no worker for"


def stats(
    *,
    watch: Annotated[bool, switch("--watch", "go on showing them, until Ctrl-C")] = False,
    every: Annotated[float, Parameter(help="seconds from one look to the next")] = 1.0,
    json: AsJson = False,
    connection: Connection = HERE,
) -> None:
    """Show how many tasks are in which state, and how fast they come and go."""
    if not 0.1 <= every <= 3600:
        raise WrongUsage(f"--every must be 0.1 to 3600 seconds, not {every:g}")
    with Service(connection) as service:
        if not watch:
            _print_once(service.get("/stats"), json)
        elif on_terminal() and not json:
            from unlost.cli.commands.stats_watch import watch as watch_live

            looks = _looks(service, every)
            watch_live(
                service, (look if isinstance(look, bytes) else _trouble(look) for look in looks)
            )
        else:
            _watch_plainly(service, every, json)


def _print_once(answer: bytes, as_json: bool) -> None:
    if as_json:
        raw(answer)
    else:
        facts(_pairs(read(answer, StatsSeen)))


def _pairs(seen: StatsSeen) -> list[tuple[str, str]]:
    return [
        ("accepted", str(seen.accepted)),
        *((state, str(count)) for state, count in seen.states.items()),
        ("outstanding", str(seen.outstanding)),
        ("lost", str(seen.lost)),
        ("submitted/s", f"{seen.rates.get('submittedPerSecond', 0):.1f}"),
        ("settled/s", f"{seen.rates.get('settledPerSecond', 0):.1f}"),
        (UNHANDLED, ", ".join(seen.unhandled_types)),
    ]


def _looks(service: Service, every: float) -> Iterator[bytes | NoService | Refused]:
    """The counts again and again; while the service is away, why.

    It must be there at first: a wrong address is not waited for.
    """
    yield service.get("/stats", patience=10)
    while True:
        time.sleep(every)
        try:
            yield service.get("/stats", patience=10)
        except NoService as error:
            yield error
        except Refused as error:
            if error.status < 500:
                raise
            yield error


def _watch_plainly(service: Service, every: float, as_json: bool) -> None:
    for look in _looks(service, every):
        if not isinstance(look, bytes):
            print(_trouble(look), file=sys.stderr, flush=True)
        elif as_json:
            raw(look.replace(b"\n", b" "))
        else:
            print(f"{datetime.now(UTC):%H:%M:%SZ} {_plain(read(look, StatsSeen))}", flush=True)


def _plain(seen: StatsSeen) -> str:
    """One line of key=value, no space in any key."""
    pairs = [(name, value) for name, value in _pairs(seen) if name != UNHANDLED]
    if seen.unhandled_types:
        pairs.append(("unhandledTypes", ",".join(seen.unhandled_types)))
    return one_line(" ".join(f"{key}={value}" for key, value in pairs))


def _trouble(error: NoService | Refused) -> str:
    what = error.what if isinstance(error, NoService) else str(error)
    return f"{one_line(what)}; trying again"
