"""API Gateway's events as the app's requests.

An HTTP API hands out the path decoded, but for `%25`: `/tasks/a%2Fb` comes as `/tasks/a/b`.  Ours
says where an id begins and ends in a path, so it is put together again.  (What follows an encoded
`?` the gateway has cut off.)
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from mangum.handlers import HTTPGateway

# What an encoded path may hold as it is, and the escapes that are still in it.
_SAFE: Final = "%/:@!$&'()*+,;=~"
_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ACTS: Final = {("tasks", "POST"): "cancel", ("dead-letters", "POST"): "redrive"}


class Gateway(HTTPGateway):
    """Mangum's handler of HTTP API events, with the path as it was sent."""

    @property
    def scope(self) -> Any:
        scope = super().scope
        path = self.event.get("rawPath") or "/"
        scope["raw_path"] = raw_path(scope["method"], path)
        # The length that was announced may be that of another encoding, or missing.
        kept = [pair for pair in scope["headers"] if pair[0] not in _OF_BODY]
        scope["headers"] = [*kept, [b"content-length", str(len(self.body)).encode()]]
        return scope


_OF_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})


def raw_path(method: str, path: str) -> bytes:
    """The path as it may have been sent, from its decoded form; an encoded one stays as it is.

    >>> raw_path("GET", "/tasks/a/b c")
    b'/tasks/a%2Fb%20c'
    """
    root, separator, rest = path.removeprefix("/").partition("/")
    if separator and root in ("tasks", "dead-letters"):
        act = _ACTS.get((root, method), "")
        before, slash, last = rest.rpartition("/")
        if act and slash and last == act:
            rest = f"{before.replace('/', '%2F')}/{last}"
        else:
            rest = rest.replace("/", "%2F")
        path = f"/{root}/{rest}"
    return quote(_PERCENT.sub("%25", path), safe=_SAFE, errors="replace").encode()
