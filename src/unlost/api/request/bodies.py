"""Reading a body: its media type first, then its bytes, never more of them than allowed."""

from __future__ import annotations

from enum import StrEnum
from io import BytesIO

from starlette.types import Message, Receive, Scope

from unlost.api.problems import TooLarge, WrongMediaType
from unlost.api.request.leaving import ClientGone
from unlost.remembered import remembered


class MediaType(StrEnum):
    """The forms in which tasks may come."""

    JSON = "application/json"
    NDJSON = "application/x-ndjson"


NAMES = {
    MediaType.JSON: ("application/json", "application/*+json"),
    MediaType.NDJSON: ("application/x-ndjson", "application/ndjson", "application/jsonl"),
}
"""What each form may be called."""


async def read_json(scope: Scope, receive: Receive, limit: int) -> bytes:
    """A body that says it is JSON, or does not say.  Raises WrongMediaType, TooLarge."""
    media_type(scope, MediaType.JSON)
    return await read(scope, receive, limit)


async def read_optional_json(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The same for a call that needs no body; empty if there is none."""
    if not _has_body(scope):
        return b""
    return await read_json(scope, receive, limit)


async def read(scope: Scope, receive: Receive, limit: int) -> bytes:
    """A body of at most `limit` bytes.

    It is refused as soon as it is known to be longer, so that no more than the limit and one
    chunk is ever held.  What all bodies may take is for the connections (`connection.room`).
    Raises TooLarge, ClientGone.
    """
    announced = _content_length(scope)
    if announced is not None and announced > limit:
        raise _too_large(limit)
    message = await receive()
    first = _chunk(message)
    if len(first) > limit:
        raise _too_large(limit)
    if not message.get("more_body"):
        return first
    body = BytesIO()  # which gives what it has without a copy
    body.write(first)
    del first
    while message.get("more_body"):
        del message  # what is in the body already would be held twice while the rest is awaited
        message = await receive()
        body.write(_chunk(message))
        if body.tell() > limit:
            raise _too_large(limit)
    return body.getvalue()


def _chunk(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientGone
    chunk: bytes = message.get("body", b"")
    return chunk


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is at most {limit} bytes")


def media_type(scope: Scope, *taken: MediaType) -> MediaType:
    """What the headers say that the body is; JSON if they say nothing.

    Raises WrongMediaType for what is not among `taken`.
    """
    found: MediaType | None = MediaType.JSON
    for name, value in scope["headers"]:
        if name == b"content-type":
            found = _media_type(value)
        elif name == b"content-encoding":
            raise WrongMediaType("the body must not have a content encoding")
    if found not in taken:
        raise WrongMediaType("the body must be " + _any(taken))
    return found


def _any(taken: tuple[MediaType, ...]) -> str:
    *names, last = (name for form in taken for name in NAMES[form])
    return f"{', '.join(names)} or {last}"


@remembered(256)
def _media_type(header: bytes) -> MediaType | None:
    essence, *parameters = header.decode("latin-1").lower().split(";")
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8"}:
            raise WrongMediaType("the body must be UTF-8")
    if essence.strip() in NAMES[MediaType.NDJSON]:
        return MediaType.NDJSON
    kind, _, subtype = essence.strip().partition("/")
    if not essence.strip() or (kind == "application" and _is_json(subtype)):
        return MediaType.JSON
    return None


def _is_json(subtype: str) -> bool:
    return subtype == "json" or (subtype.endswith("+json") and len(subtype) > len("+json"))


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value[:20])
    return None


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0") != b"")
        for name, value in scope["headers"]
    )
