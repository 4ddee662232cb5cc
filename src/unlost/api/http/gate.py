"""What every call passes before it is looked at: whether it may come from where it comes from.

What is decided is in `unlost.access`; here it becomes problems and headers.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Scope, Send

from unlost.access import browser, proxies
from unlost.access.auth import Auth
from unlost.access.browser import Bar, Refusal, Rules
from unlost.access.proxies import Believed
from unlost.api.problems import (
    ForeignPage,
    HandedOn,
    Problem,
    WrongHost,
    WrongMediaType,
)
from unlost.settings import Settings

HEALTH: Final = ("/livez", "/readyz")
"""Asked for by what watches the process, under any name and through anything."""

REMEMBERED: Final = 600
"""Seconds for which a browser need not ask again what pages of another origin may do."""

_PROBLEMS: Final[dict[Bar, type[Problem]]] = {
    Bar.PROXIED: HandedOn,
    Bar.HOST: WrongHost,
    Bar.PAGE: ForeignPage,
    Bar.MEDIA_TYPE: WrongMediaType,
}
_EXPOSED: Final = b"Location, Retry-After, Idempotent-Replayed"


def rules(settings: Settings, auth: Auth, *, gateway: bool) -> Rules:
    """What holds here.  `auth` says whether calls need a key; behind a `gateway` of the home's own
    the name is the gateway's to check."""
    hosts = (browser.place(name) for name in settings.allowed_host)
    origins = (browser.origin(name) for name in settings.cors_origin)
    return Rules(
        hosts=[host for host in hosts if host is not None],
        hosts_only=not auth.needs_key and not gateway,
        origins=frozenset(origin for origin in origins if origin is not None),
        unproxied=auth is Auth.UNWRITTEN,
    )


class Gate:
    """Lets calls in, or says why not.  Below `root_path` calls are the same as without it."""

    def __init__(self, rules: Rules, believed: Believed, root_path: str = "") -> None:
        self._rules = rules
        self._believed = believed
        self._health = {root + path for root in {"", root_path} for path in HEALTH}

    def enter(self, scope: Scope) -> ASGIApp | None:
        """Let a call in, with who made it in its scope.  Returns the answer if there is nothing
        more to do for it.  Raises ForeignPage, HandedOn, WrongHost, WrongMediaType."""
        known = browser.facts(scope["headers"])
        believed = self._believe(scope)
        method: str = scope["method"]
        refusal = browser.refusal(
            self._rules, method, known, believed=believed, health=scope["path"] in self._health
        )
        if refusal is not None:
            raise _problem(refusal)
        if browser.is_preflight(method, known) and browser.reader(self._rules, known) is not None:
            return _may_call()
        return None

    def readable(self, scope: Scope, send: Send) -> Send:
        """What sends an answer such that pages may read it that may make the call."""
        if not self._rules.origins:
            return send
        origin = browser.reader(self._rules, browser.facts(scope["headers"]))
        headers = [(b"vary", b"Origin")]
        if origin is not None:
            headers += [
                (b"access-control-allow-origin", origin.encode("latin-1")),
                (b"access-control-expose-headers", _EXPOSED),
            ]

        async def send_readable(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        return send_readable

    def _believe(self, scope: Scope) -> bool:
        """Put what a believed proxy says of the client into the scope; whether there is one."""
        peer = scope.get("client")
        if not self._believed or peer is None or not self._believed.includes(peer[0]):
            return False
        seen = proxies.seen(self._believed, peer[0], scope["headers"])
        if seen.client != peer[0]:
            scope["client"] = (seen.client, 0)
        scope["scheme"] = seen.scheme or scope["scheme"]
        return True


def _problem(refusal: Refusal) -> Problem:
    return _PROBLEMS[refusal.bar](refusal.detail)


def _may_call() -> Response:
    """The answer to a browser that asks what pages of an allowed origin may do."""
    headers = {
        "Access-Control-Allow-Methods": browser.METHODS,
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
        "Access-Control-Max-Age": str(REMEMBERED),
    }
    return Response(status_code=204, headers=headers)
