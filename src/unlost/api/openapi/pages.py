"""The OpenAPI document, and its page for people, which runs no script and asks no other host."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from functools import cache
from html import escape
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from unlost.api.answers import rendering
from unlost.api.http.endpoints import responding
from unlost.api.http.routing import Route
from unlost.api.openapi.operations import pages as op

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem 1.5rem .2rem 0; border-bottom: 1px solid #8884; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { overflow: auto; padding: .5rem 1rem; background: #8881; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    **rendering.NO_SNIFFING,
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}


class Pages:
    """The endpoints of the OpenAPI document and its page.  Each is made when it is first asked for,
    since a process that starts for one call must not pay for it, and only then: whoever asks again
    and again, which needs no key, must not cost much."""

    def __init__(self, document: Callable[[], dict[str, Any]]) -> None:
        whole = cache(document)
        self._json = cache(lambda: rendering.encode(whole()))
        self._page = cache(lambda: _page("unlost: the API", _described(whole())))

    def routes(self) -> list[Route]:
        """What leads here."""
        return [
            Route(op.DOCUMENT, responding(self.openapi)),
            Route(op.DOCS, responding(self.docs)),
        ]

    async def docs(self, request: Request) -> Response:
        """The OpenAPI document, to read."""
        return Response(self._page(), headers=_HEADERS, media_type="text/html")

    async def openapi(self, request: Request) -> Response:
        """The OpenAPI document."""
        return Response(self._json(), headers=rendering.NO_SNIFFING, media_type=rendering.JSON)


def _page(title: str, content: str) -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{content}</body></html>"
    ).encode()


def _described(document: dict[str, Any]) -> str:
    calls = "".join(
        _call(method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    )
    schemas = "".join(
        f'<h3 id="{escape(name)}">{escape(name)}</h3>{_json(schema)}'
        for name, schema in document["components"]["schemas"].items()
    )
    source = '<p>From <a href="openapi.json">openapi.json</a>.</p>'
    return f"{source}<h2>Calls</h2>{calls}<h2>Schemas</h2>{schemas}"


def _call(method: str, path: str, operation: dict[str, Any]) -> str:
    name = f"<code>{method.upper()} {escape(path)}</code>"
    summary = f"<p>{escape(operation['summary'])}</p>"
    parts = [f'<h3 id="{escape(operation["operationId"])}">{name}</h3>', summary]
    parameters = "".join(
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{parameter['in']}</td>"
        f"<td>{escape(parameter['description'])}</td>"
        f"<td><code>{escape(json.dumps(parameter['schema']))}</code></td></tr>"
        for parameter in operation.get("parameters", ())
    )
    if parameters:
        parts.append(f"<table>{parameters}</table>")
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        parts.append(f"<p>Takes <code>{escape(kind)}</code>: {_schema(media['schema'])}</p>")
    answers = "".join(
        f"<tr><td>{status}</td><td>{_outcome(answer)}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return "".join([*parts, f"<table>{answers}</table>"])


def _outcome(answer: dict[str, Any]) -> str:
    if "$ref" in answer:
        return f"refused: {_schema({'$ref': '/ProblemBody'})}"
    schemas = (_schema(media["schema"]) for media in answer.get("content", {}).values())
    return " ".join([escape(answer["description"]), *schemas])


def _schema(schema: dict[str, Any]) -> str:
    if "$ref" not in schema:
        return ""
    name = escape(schema["$ref"].rsplit("/", 1)[-1])
    return f'<a href="#{name}"><code>{name}</code></a>'


def _json(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
