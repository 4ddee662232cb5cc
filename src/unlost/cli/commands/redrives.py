"""`unlost redrives`: the redrives that a service does, and how they stand."""

from __future__ import annotations

from typing import Annotated

import msgspec
from cyclopts import Parameter

from unlost.cli import bounds
from unlost.cli.client.completers import redrives as known_redrives
from unlost.cli.client.connection import Service, read
from unlost.cli.client.insisting import insist
from unlost.cli.client.redrives import RedriveSeen, RedrivesSeen, redrive_path
from unlost.cli.failures import WrongUsage
from unlost.cli.ledgers.target import HERE, Place
from unlost.cli.options import START, AsJson, By, Paging, Reason, switch, words
from unlost.cli.show.output import raw
from unlost.cli.show.redrives import print_redrive, print_redrives
from unlost.redrive import RedriveState

LARGEST_PAGE = 1000


def redrives(
    redrive_id: Annotated[
        str | None, Parameter(name="ID", help="a redrive's id", completer=known_redrives)
    ] = None,
    /,
    *,
    stop: Annotated[
        bool, switch("--stop", "let it redrive no more; what is under way goes on")
    ] = False,
    by: By = None,
    reason: Reason = None,
    state: Annotated[str | None, Parameter(help="only those in this state")] = None,
    paging: Paging = START,
    json: AsJson = False,
    place: Place = HERE,
) -> None:
    """List redrives of dead letters, newest first, or show how one stands.

    A service goes on with a redrive by itself, watched or not, until all has ended, too many have
    died again, or somebody stops it.
    """
    bounds.one_of("--state", state, [one.value for one in RedriveState])
    if redrive_id is None and stop:
        raise WrongUsage("name the redrive to stop: unlost redrives ID --stop")
    body = msgspec.json.encode(words(by, reason))
    if body != b"{}" and not stop:
        raise WrongUsage("--by and --reason go with --stop")
    if redrive_id is not None and (state is not None or paging != START):
        raise WrongUsage("--state, --limit, --all and --cursor go without an ID: they list")
    most = paging.most()
    with place.service(reading=not stop) as service:
        if redrive_id is None:
            _list(service, {"state": state, "cursor": paging.cursor}, most, as_json=json)
            return
        if stop:
            path = redrive_path(redrive_id, "/stop")
            answer = insist(lambda: service.post(path, body))
        else:
            answer = service.get(redrive_path(redrive_id))
    if json:
        raw(answer)
    else:
        print_redrive(read(answer, RedriveSeen))


def _list(
    service: Service, query: dict[str, str | None], most: int | None, *, as_json: bool
) -> None:
    """Print so many of them (None: all), with --json each as the service sent it."""
    asked: dict[str, str | int] = {name: value for name, value in query.items() if value}
    found: list[msgspec.Raw] = []
    while True:
        asked["limit"] = LARGEST_PAGE if most is None else min(most - len(found), LARGEST_PAGE)
        page = read(service.get("/redrives", asked), RedrivesSeen)
        found += page.redrives
        if page.next_cursor is None or len(found) == most:
            break
        asked["cursor"] = page.next_cursor
    if as_json:
        raw(msgspec.json.encode({"redrives": found, "nextCursor": page.next_cursor}))
    else:
        print_redrives([read(bytes(one), RedriveSeen) for one in found])
