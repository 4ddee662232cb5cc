"""API Gateway's events as the app's requests.

An HTTP API hands a path on decoded twice, cut at a `?` that was encoded, and refuses what it
cannot decode: `/tasks/a%2Fb` and `/tasks/a%252Fb` come as `/tasks/a/b`, `/tasks/a%3Fb` as
`/tasks/a`.  Ours says where a name begins and ends in a path, so it is put together again, which
is possible because of what names must not have here (`api.request.names`).
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from mangum.handlers import HTTPGateway

from unlost.asked.names import CALLS

NAMED: Final = frozenset({"tasks", "dead-letters", "types"})
"""Below these stand names that may have slashes in them."""

# What an encoded path may hold as it is.
_SAFE: Final = "/:@!$&'()*+,;=~"


class Gateway(HTTPGateway):
    """Mangum's handler of HTTP API events, with the path as it was sent."""

    @property
    def scope(self) -> Any:
        scope = super().scope
        scope["raw_path"] = raw_path(self.event.get("rawPath") or "/")
        # The length that was announced may be that of another encoding, or missing.
        kept = [pair for pair in scope["headers"] if pair[0] not in _OF_BODY]
        scope["headers"] = [*kept, [b"content-length", str(len(self.body)).encode()]]
        return scope


_OF_BODY: Final = frozenset({b"content-length", b"transfer-encoding"})


def raw_path(path: str) -> bytes:
    """The path as it was sent, from how the gateway has it.

    >>> raw_path("/tasks/a/b c/cancel")
    b'/tasks/a%2Fb%20c/cancel'
    """
    root, separator, rest = path.removeprefix("/").partition("/")
    if not separator or root not in NAMED:
        return _encoded(path, _SAFE)
    name, slash, call = rest.rpartition("/")
    if not slash or call not in CALLS:
        name, slash, call = rest, "", ""
    return b"/%s/%s%s" % (root.encode(), _encoded(name, _SAFE[1:]), (slash + call).encode())


def _encoded(text: str, safe: str) -> bytes:
    return quote(text, safe=safe, errors="replace").encode()
