"""Which web pages may call the service, and under which names it may be called.

A browser sends what a page tells it to, from inside the user's machine and network.  What the page
cannot forge are the headers that say where it came from: `Sec-Fetch-Site`, `Origin` and `Host`.
Pure: headers and settings lead to a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum
from ipaddress import ip_address
from typing import Final, NamedTuple

import msgspec

from unlost.remembered import remembered

Headers = Iterable[tuple[bytes, bytes]]

METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
"""What pages of an allowed origin may do."""

_SHOWN: Final = 200
"""Characters of a header that a refusal repeats."""

_AUTHORITY: Final = re.compile(
    r"(\[[0-9a-f:.%a-z_-]{2,60}\]|[^\s\[\]:/?#@,\\]{1,255})(?::([0-9]{0,5}))?"
)
_WEB: Final = {"http": 80, "https": 443}
_WATCHED: Final = frozenset(
    (
        b"host",
        b"origin",
        b"sec-fetch-site",
        b"sec-fetch-mode",
        b"sec-fetch-dest",
        b"x-forwarded-host",
        b"access-control-request-method",
        b"content-type",
        b"content-length",
        b"transfer-encoding",
    )
)
_OF_PROXIES: Final = frozenset((b"forwarded", b"x-real-ip", b"via"))


class Place(NamedTuple):
    """A host and a port; None is the scheme's own."""

    host: str
    port: int | None


class Bar(Enum):
    """Why a call is not let in."""

    PROXIED = "proxied"
    HOST = "host"
    PAGE = "page"
    MEDIA_TYPE = "media-type"


class Refusal(msgspec.Struct, frozen=True):
    """That a call is not let in, and why, for whoever runs the service to read."""

    bar: Bar
    detail: str


class Rules(msgspec.Struct, frozen=True):
    """What holds for pages and names.

    `hosts` are the names under which the service is known beside its addresses; only with
    `hosts_only` is any other refused.  `origins` are those whose pages may call it from elsewhere.
    With `unproxied`, what a proxy has handed on is refused.
    """

    hosts: Sequence[Place] = ()
    hosts_only: bool = False
    origins: frozenset[str] = frozenset()
    unproxied: bool = False


class Facts(msgspec.Struct, frozen=True):
    """What the headers of a call say of where it comes from.  What came twice is joined with a
    comma, which makes it neither a host nor an origin."""

    found: dict[bytes, bytes]
    proxy: str | None = None

    def text(self, name: bytes) -> str | None:
        """A header, as text."""
        value = self.found.get(name)
        return None if value is None else value.decode("latin-1").strip()

    @property
    def has_body(self) -> bool:
        length = self.found.get(b"content-length")
        return b"transfer-encoding" in self.found or (
            length is not None and length.strip(b"0 ") != b""
        )

    @property
    def by_page(self) -> bool:
        """Whether a browser sent it, as far as that shows."""
        return b"origin" in self.found or b"sec-fetch-site" in self.found


def facts(headers: Headers) -> Facts:
    """What is looked at, out of a call's headers (names in lower case)."""
    found: dict[bytes, bytes] = {}
    proxy = None
    for name, value in headers:
        if name in _WATCHED:
            found[name] = value if name not in found else found[name] + b", " + value
        if name in _OF_PROXIES or name.startswith(b"x-forwarded-"):
            proxy = name.decode("latin-1")
    return Facts(found, proxy)


def refusal(
    rules: Rules, method: str, known: Facts, *, believed: bool = False, health: bool = False
) -> Refusal | None:
    """Why a call is not let in; None if it is.

    `believed` says that `X-Forwarded-Host` comes from a proxy that is trusted, `health` that the
    call asks for the process's health, which is answered under any name and behind anything.
    """
    if not health:
        if rules.unproxied and known.proxy is not None:
            return Refusal(Bar.PROXIED, _PROXIED.format(known.proxy[:_SHOWN]))
        if rules.hosts_only and not _is_known(rules, known.text(b"host")):
            return Refusal(Bar.HOST, _of_host(known))
    if not known.by_page:
        return None
    trusted = _is_own(rules, known, believed=believed) or reader(rules, known) is not None
    if not trusted and not (method == "GET" and _navigates(known)):
        return Refusal(Bar.PAGE, _of_page(known))
    if known.has_body and not is_json(known.text(b"content-type")):
        return Refusal(Bar.MEDIA_TYPE, _NOT_JSON)
    return None


def is_preflight(method: str, known: Facts) -> bool:
    """Whether a browser asks what a page of another origin may do."""
    return (
        method == "OPTIONS"
        and b"origin" in known.found
        and b"access-control-request-method" in known.found
    )


def reader(rules: Rules, known: Facts) -> str | None:
    """The origin whose pages may read the answer, though it is not the service's own."""
    came = known.text(b"origin")
    return came if came in rules.origins else None


def origin(text: str) -> str | None:
    """An origin of web pages as browsers send it; None for what is none."""
    found = _of_origin(text.lower())
    if found is None:
        return None
    scheme = text.lower().partition("://")[0]
    return f"{scheme}://{found.host}" + ("" if found.port is None else f":{found.port}")


def is_host(text: str) -> bool:
    """Whether a text names a host, with or without a port."""
    return place(text) is not None and text.isascii() and text.isprintable()


@remembered(256)
def place(text: str) -> Place | None:
    """The host and port that a `Host` header names, None where it names none."""
    match = _AUTHORITY.fullmatch(text.lower())
    if match is None:
        return None
    port = int(match[2]) if match[2] else None
    if port is not None and port > 65_535:
        return None
    return Place(match[1], None if port in _WEB.values() else port)


def is_json(content_type: str | None) -> bool:
    """Whether a body's type is one of JSON, a task a line included: a page of another origin
    cannot send that without asking first."""
    essence = (content_type or "").partition(";")[0].strip().lower()
    kind, _, subtype = essence.partition("/")
    return kind == "application" and (
        subtype in {"json", "x-ndjson", "ndjson", "jsonl"} or subtype.endswith("+json")
    )


def _is_known(rules: Rules, host: str | None) -> bool:
    """Whether a page cannot have pointed this name at the service."""
    if host is None:
        return True  # no browser
    found = place(host)
    if found is None:
        return False
    return (
        found.host == "localhost"
        or _is_address(found.host)
        or any(found.host == one.host for one in rules.hosts)
    )


@remembered(256)
def _is_address(host: str) -> bool:
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return (":" in host) == host.startswith("[")


def _is_own(rules: Rules, known: Facts, *, believed: bool) -> bool:
    """Whether a page of the service itself, or its user, makes the call."""
    site = known.text(b"sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    given = known.text(b"origin")
    if given is None:
        return True
    came = _of_origin(given)
    return came is not None and came in _names(rules, known, believed=believed)


def _names(rules: Rules, known: Facts, *, believed: bool) -> list[Place | None]:
    """Where the service is, for pages of its own."""
    found: list[Place | None] = [*rules.hosts, place(known.text(b"host") or "")]
    forwarded = known.text(b"x-forwarded-host")
    if believed and forwarded is not None:
        found.append(place(forwarded.partition(",")[0].strip()))
    return found


def _navigates(known: Facts) -> bool:
    """Whether a user follows a link, so that what is answered is shown, and no page reads it."""
    return (
        known.text(b"sec-fetch-mode") == "navigate" and known.text(b"sec-fetch-dest") == "document"
    )


def _of_origin(text: str) -> Place | None:
    """The place of an origin: `https://jobs.example`, without a path."""
    scheme, separator, authority = text.partition("://")
    match = _AUTHORITY.fullmatch(authority)
    if not separator or scheme not in _WEB or match is None:
        return None
    port = int(match[2]) if match[2] else None
    if port is not None and port > 65_535:
        return None
    return Place(match[1].lower(), None if port == _WEB[scheme] else port)


_PROXIED: Final = (
    "the header {} shows a proxy in front of this service, which asks for no key though nobody has "
    "said so: start it with --auth keys, or with --auth none if whoever reaches the proxy may do "
    "everything"
)
_NOT_JSON: Final = "the body needs Content-Type: application/json where a browser sends it"


def _of_host(known: Facts) -> str:
    host = (known.text(b"host") or "")[:_SHOWN]
    return (
        f"Host is {host!r}, under which this service is not known: use its IP address or "
        "localhost, or start it with --allowed-host"
    )


def _of_page(known: Facts) -> str:
    """Why a page is refused, with the values that differ."""
    site, came = known.text(b"sec-fetch-site"), known.text(b"origin")
    if site is not None:
        who = "" if came is None else f" of {came[:_SHOWN]}"
        return (
            f"a page{who} may not call this service (Sec-Fetch-Site is {site[:_SHOWN]}); "
            "--cors-origin names those that may"
        )
    host = (known.text(b"host") or "")[:_SHOWN]
    return (
        f"a page of another origin may not call this service: Origin is {(came or '')[:_SHOWN]}, "
        f"but Host is {host}; behind nginx both are alike with proxy_set_header Host $http_host; "
        "--allowed-host names others, --cors-origin the origins whose pages may call"
    )
