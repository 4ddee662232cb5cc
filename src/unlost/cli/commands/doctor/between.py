"""Checks of what lies between here and a service: what a proxy changes, holds back or refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

import msgspec

from unlost.cli.client.connection import Exchange, NoService, Service
from unlost.cli.commands.doctor.finding import Finding, fail, note, ok

FIRST_EVENT: Final = 5.0
"""Seconds within which the first byte of the events comes."""

SIZES: Final = ((64 * 1024**2, "64 MiB"), (8 * 1024**2, "8 MiB"), (330_000, "322 KiB"))
"""Bodies that are tried, and what the largest batch and more than the largest submit need."""

_FOREIGN: Final = "https://a-page-of-another-origin.invalid"
_KEYLESS: Final = "the service wants a key: --api-key or UNLOST_API_KEY gives it"


class _Problem(msgspec.Struct):
    type: str = ""
    detail: str = ""


def checks(service: Service) -> Iterator[Finding]:
    """All of them, as far as something answers.  Nothing is stored or changed."""
    try:
        alive = service.exchange("GET", "/livez")
    except NoService as error:
        yield fail("reached", str(error))
        return
    if alive.status != 200 or b"alive" not in alive.body:
        yield fail("reached", f"{service.shown} is no unlost service: /livez is {alive.status}")
        return
    yield ok("reached", f"{service.shown} answers")
    for check in (_known, _pages, _paths, _events, _sizes):
        try:
            yield from check(service)
        except NoService as error:
            yield fail(check.__name__.strip("_"), str(error))


def _known(service: Service) -> Iterator[Finding]:
    """Whether the service answers under this name, and to whom."""
    answer = service.exchange("GET", "/stats")
    if answer.status == 200:
        yield ok("name and key", "calls are answered")
    elif answer.status == 401:
        yield note("name and key", _KEYLESS)
    else:
        yield fail("name and key", _told(answer))


def _pages(service: Service) -> Iterator[Finding]:
    """Whether the console's own calls look like its own, and those of others do not."""
    parts = urlsplit(service.url)
    own = service.exchange(
        "GET", "/livez", headers={"origin": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"}
    )
    if own.status == 200:
        yield ok("own pages", "Host and Origin are alike: the console can act")
    else:
        yield fail("own pages", _told(own))
    foreign = service.exchange("GET", "/livez", headers={"origin": _FOREIGN})
    if foreign.status == 403:
        yield ok("other pages", "pages of another origin are refused")
    else:
        told = f"a page of another origin got {foreign.status}: something between drops Origin"
        yield fail("other pages", told)


def _paths(service: Service) -> Iterator[Finding]:
    """Whether encoded ids come as they were sent."""
    slash = service.exchange("GET", "/tasks/doctor%2Fcancel")
    question = service.exchange("GET", "/livez%3Fdoctor")
    if 422 in (slash.status, question.status):
        yield note("encoded ids", f"this home takes no such ids: {_told(slash)}")
    elif slash.status == 401:
        if question.status == 200:
            yield fail("encoded ids", f"%3F comes as a question mark; {_AS_SENT}")
        else:
            yield note("encoded ids", _KEYLESS)
    elif (slash.status, question.status) == (404, 404) and _is_ours(slash):
        yield ok("encoded ids", "paths come as they are sent")
    else:
        yield fail("encoded ids", f"a path is decoded on its way ({_told(slash)}); {_AS_SENT}")


_AS_SENT: Final = (
    "behind nginx proxy_pass must have nothing behind the name, behind Apache there must be nocanon"
)


def _events(service: Service) -> Iterator[Finding]:
    """Whether events come as they happen, compressed or not."""
    for encoding in ("identity", "gzip"):
        answer = service.first_bytes("/events", {"accept-encoding": encoding}, FIRST_EVENT)
        check = "events" if encoding == "identity" else "events, gzip"
        if answer is None:
            told = f"nothing came within {FIRST_EVENT:g} s: something between holds the stream back"
            yield fail(check, f"{told} (buffering, or gzip of text/event-stream)")
        elif answer.status == 200:
            yield ok(check, "the stream begins at once")
        elif answer.status in (401, 501):
            yield note(check, _KEYLESS if answer.status == 401 else "this home has no /events")
            return
        else:
            yield fail(check, _told(answer))


def _sizes(service: Service) -> Iterator[Finding]:
    """The largest body that comes through: the service itself refuses each as too large for a
    single task, or since it has no key, and nothing is stored."""
    refused = ""
    for size, told in SIZES:
        answer = service.exchange(
            "POST", "/tasks", headers={"content-type": "application/json"}, content=b" " * size
        )
        if _is_ours(answer):
            yield (note if refused else ok)("large bodies", f"{told} come through{refused}")
            return
        refused = f"; {told} are answered {answer.status}, and not by the service"
    yield fail("large bodies", f"not even what a single task may have comes through{refused}")


def _is_ours(answer: Exchange) -> bool:
    """Whether the service itself answered with a refusal, and nothing before it."""
    return _problem(answer).type.startswith("urn:unlost:problem:")


def _problem(answer: Exchange) -> _Problem:
    try:
        return msgspec.json.decode(answer.body, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Problem()


def _told(answer: Exchange) -> str:
    """What an answer says, in a line."""
    return _problem(answer).detail or f"status {answer.status}, and not by the service"
