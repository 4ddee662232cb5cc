"""An operation of the API as data: what it takes, and what it may answer."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from unlost.access.keys import KeyScope
from unlost.api.request.query import Parameter

JSON: Final = "application/json"
HTML: Final = "text/html"
_BODY_REFUSALS = (400, 408, 413, 415, 422)


class Body(msgspec.Struct, frozen=True):
    """What a call takes: its JSON, and whether it may be left out."""

    schema: type[msgspec.Struct]
    required: bool = True
    ndjson: bool = False


class Link(msgspec.Struct, frozen=True):
    """A call that can follow, of the operation with the name `to`: with these parameters and this
    body, whose expressions (`$response.body#/…`) say where their values come from."""

    name: str
    to: str
    body: dict[str, Any] | str
    parameters: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """What a call gives when it succeeds.  Without a schema it is no JSON.

    `to_others` is its schema where a key may not read what another one has submitted.

    `or_media_type` is what it may be instead, if the caller accepts that.

    `headers` are those that it always has, `may_have` those that it has sometimes.

    `task_id` and `cursor` point (RFC 6901) at what further calls need of it; `links` are others.
    """

    description: str
    schema: type[msgspec.Struct] | None = None
    media_type: str | None = JSON
    or_media_type: str | None = None
    headers: tuple[str, ...] = ()
    may_have: tuple[str, ...] = ()
    task_id: str | None = None
    cursor: str | None = None
    links: tuple[Link, ...] = ()
    to_others: type[msgspec.Struct] | None = None


class Operation(msgspec.Struct, frozen=True):
    """A method of a path, what it takes and what it may answer.

    `scope` is what a key must have where keys are needed; None: nobody needs one, though who has
    one may be told more (`more_to_known`).  With the scope `or_own` alone, a key gets no further
    than what it has submitted.
    """

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, Answer]
    body: Body | None = None
    query: tuple[Parameter, ...] = ()
    refused: tuple[int, ...] = ()
    scope: KeyScope | None = KeyScope.READ
    or_own: KeyScope | None = None
    more_to_known: bool = False

    @property
    def without_query(self) -> bool:
        """Whether any query is refused: nobody is to believe that it was heeded.  Pages and probes
        are for everybody, however asked for; what this home does not offer says so."""
        return not self.query and self.scope is not None and 501 not in self.refused

    @property
    def refusals(self) -> list[int]:
        """The statuses of problem documents that it may answer."""
        found = {500, 503, *self.refused}
        found.update(_BODY_REFUSALS if self.body else ())
        found.update((422,) if self.query or self.without_query else ())
        return sorted(found)
