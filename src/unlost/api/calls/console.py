"""The web console: the files of `unlost/console`, served as they are.

They hold no data and no secret, so nobody needs a key for them; what they show they ask of the API.
The page may run only these files, load nothing from elsewhere, and make no markup out of text.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers.rendering import NO_SNIFFING
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import pages as op
from unlost.api.problems import NotFound

FOLDER: Final = Path(__file__).parents[2] / "console"

MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_OWN: Final = re.compile(rb"""((?:href|src)=")(?=[a-z])""")
"""Before an address of the service's own in the page."""

_HEADERS: Final = {
    **NO_SNIFFING,
    "Cache-Control": "no-cache",  # kept, and asked about each time: an upgrade shows at once
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}


class Asset(msgspec.Struct, frozen=True):
    """A file and the headers it goes out with."""

    content: bytes
    headers: dict[str, str]


class Console:
    """The endpoints of the console's page and of its files.

    The page names its files from where it is, and below `root` (the path that a proxy shows) from
    there, since it is also answered at the root without a slash.
    """

    def __init__(self, root: str = "") -> None:
        self._root = root

    def routes(self) -> list[Route]:
        """What leads here."""
        files = responding(self.file)
        return [
            Route(op.HOME, responding(self.home)),
            *(Route(operation, files) for operation in op.CONSOLE_FILES),
        ]

    async def home(self, request: Request) -> Response:
        """The page."""
        return _answer(request, await asyncio.to_thread(_page, self._root))

    async def file(self, request: Request) -> Response:
        """A file of the page.  Raises NotFound."""
        name = "/".join(request.path_params.values())
        if name not in _names():
            raise NotFound("nothing is here")
        return _answer(request, await asyncio.to_thread(_read, name))


def _answer(request: Request, asset: Asset) -> Response:
    if request.headers.get("if-none-match") == asset.headers["ETag"]:
        return Response(status_code=304, headers=asset.headers)
    return Response(asset.content, headers=asset.headers)


@cache
def _names() -> frozenset[str]:
    """What there is to be served: a name that is not here never reaches the disk."""
    found = (path for path in FOLDER.rglob("*") if path.suffix in MEDIA_TYPES)
    return frozenset(path.relative_to(FOLDER).as_posix() for path in found)


@cache
def _page(root: str) -> Asset:
    content = (FOLDER / "index.html").read_bytes()
    if root:
        content = _OWN.sub(rb"\1" + root.encode() + b"/", content)
    return _asset(content, ".html")


@cache
def _read(name: str) -> Asset:
    path = FOLDER / name
    return _asset(path.read_bytes(), path.suffix)


def _asset(content: bytes, suffix: str) -> Asset:
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(content, {**_HEADERS, "Content-Type": MEDIA_TYPES[suffix], "ETag": tag})
