"""`unlost outbox …`: make an outbox, relay it, look at it, bring back what was rejected."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import msgspec
from cyclopts import App, Parameter

from unlost.cli.client.connection import Connection, NoService, Service
from unlost.cli.failures import Failed, WrongUsage
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import switch
from unlost.cli.show.output import raw
from unlost.cli.text import counted
from unlost.telemetry import logs

if TYPE_CHECKING:
    from unlost.outbox.store import Outbox

Database = Annotated[
    str,
    Parameter(
        name="--database",
        env_var="UNLOST_OUTBOX",
        metavar="URL",
        help="the application's, such as sqlite:///app.db",
    ),
]
AsJson = Annotated[bool, switch("--json", "print JSON")]

outbox = App(
    name="outbox",
    help="Make tasks of what applications put into their own databases, in their transactions.",
    help_epilogue="unlost outbox COMMAND --help says more.",
)


@outbox.command(help_epilogue="")
def create(
    *,
    database: Database,
    notify: Annotated[
        bool, switch("--notify", "also a trigger that wakes relays at once (PostgreSQL)")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make the tables unlost_outbox and unlost_outbox_rejected, where they are missing.

    On SQLite also the file, where there is none. Called again, it changes nothing.
    """
    if notify and database.startswith("sqlite:"):
        raise WrongUsage("--notify is for PostgreSQL: SQLite can tell nobody of a row")
    with _opened(database) as opened:
        opened.create(notify=notify)
        if json:
            raw(msgspec.json.encode({"outbox": str(opened)}))
        else:
            print(f"{opened} has an outbox")


@outbox.command(help_epilogue="")
def relay(*, database: Database, place: Place = HERE) -> None:
    """Submit rows and remove them once they are accepted, until SIGTERM or Ctrl-C.

    To the service at --url, or, without one, to the ledger that --ledger names, with what the
    variables UNLOST_… set for a service. Any number of relays may run. It is also a part of
    `unlost serve --outbox URL`.
    """
    from random import Random

    from unlost.outbox.relay import NotAnswered, Relay

    with _opened(database) as opened, _target(place) as service:
        _check(opened)

        def post(lines: bytes) -> tuple[int, bytes]:
            try:
                answer = service.exchange("POST", "/tasks/batch", headers=NDJSON, content=lines)
            except NoService as error:
                raise NotAnswered(error.what) from error
            except Failed as error:
                raise NotAnswered(str(error)) from error
            return answer.status, answer.body

        writer = logs.Writer(1, for_people=os.isatty(1))
        logs.setup(writer, role="outbox", pid=os.getpid())
        try:
            with _until_told() as stop:
                os.write(2, f"unlost relays the outbox of {opened}\n".encode())
                Relay(opened, post, Random()).run(stop)
        finally:
            logs.send_events(None)
            logs.leave_logging()
            writer.close()


@outbox.command(help_epilogue="")
def status(*, database: Database, json: AsJson = False) -> None:
    """Show how many rows wait, how old the oldest is, what was answered to those that were tried in
    vain, and the newest that were rejected."""
    from unlost.cli.show.outbox import print_status, status_as_json

    with _opened(database) as opened:
        found = opened.status()
    if json:
        raw(status_as_json(found))
    else:
        print_status(found)


@outbox.command(help_epilogue="")
def retry(
    ids: Annotated[
        tuple[str, ...], Parameter(name="ID", help="of rows, as status lists them; all if none")
    ] = (),
    /,
    *,
    database: Database,
    json: AsJson = False,
) -> None:
    """Bring rejected rows back, to be submitted again. Exit status 1 if one of the ids is none of
    a rejected row."""
    with _opened(database) as opened:
        number = opened.retry(tuple(dict.fromkeys(ids)))
    if json:
        raw(msgspec.json.encode({"retried": number}))
    else:
        print(f"{counted(number, 'row')} will be submitted again")
    if number < len(set(ids)):
        missing = len(set(ids)) - number
        raise Failed(
            f"{counted(missing, 'id')} {'is' if missing == 1 else 'are'} of no rejected row"
        )


NDJSON = {"content-type": "application/x-ndjson"}


@contextmanager
def _opened(database: str) -> Iterator[Outbox]:
    """The outbox, closed at the end; what is wrong with it is the line that a command ends with."""
    from unlost.outbox.opening import open_outbox
    from unlost.outbox.store import NoOutbox, OutboxUnavailable
    from unlost.settings import WrongSetting

    try:
        opened = open_outbox(database)
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    try:
        yield opened
    except (NoOutbox, OutboxUnavailable) as error:
        raise Failed(str(error)) from error
    finally:
        opened.close()


def _check(opened: Outbox) -> None:
    """Raise NoOutbox where there is none; a database that is away now is waited for."""
    from unlost.outbox.store import OutboxUnavailable

    try:
        opened.check()
    except OutboxUnavailable as error:
        os.write(2, f"{error}; it is tried again\n".encode())


def _target(place: Place) -> Service:
    if place.ledger is None:
        return place.service()
    from unlost.cli.ledgers.direct import Direct
    from unlost.settings import WrongSetting, resolve

    try:
        settings = resolve({"ledger": place.ledger}, os.environ).within
    except WrongSetting as error:
        raise WrongUsage(str(error)) from error
    return Service(Connection(), Direct(place.ledger, reading=False, settings=settings))


@contextmanager
def _until_told() -> Iterator[Event]:
    """An event that SIGTERM, SIGHUP and Ctrl-C set; the second of them ends the process at once."""
    stop = Event()

    def told(number: int, _: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
