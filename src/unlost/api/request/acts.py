"""Reading what a person asks to be done: to which task, by whom and why."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import Request

from unlost.api.openapi.operation import Operation
from unlost.api.problems import NotFound
from unlost.api.request import bodies, members, query, submission
from unlost.api.request.members import Members
from unlost.asked import checks
from unlost.jsontext import digest
from unlost.ledger.calls import call
from unlost.task import Event

ACT_LIMIT: Final = 320 * 1024


def task_id_of(request: Request) -> str:
    """The id in the path.  Raises NotFound for one that no task can have."""
    try:
        return checks.task_id(request.path_params["taskId"])
    except checks.Wrong:
        raise NotFound("no task has this id") from None


class Asked(msgspec.Struct, frozen=True):
    """What a person asks to be done: who, why, and what else the body (`raw` as sent) says.

    `id` is the caller's name for the call, where it may come twice.
    """

    by: str | None
    reason: str | None
    body: Members
    raw: bytes
    id: str | None = None

    def call(self, event: Event) -> str | None:
        """The call as the ledger keeps it; None where it has no name."""
        if self.id is None:
            return None
        asked: dict[str, object] = {"event": event.value, "by": self.by, "reason": self.reason}
        if "forget" in self.body.tree:
            asked["forget"] = self.body.tree["forget"]
        return call(self.id, digest(self.body.tree.get("payload"), asked))


async def read_act(request: Request, operation: Operation) -> Asked:
    """An act from the query and the optional body; its members are still to be finished."""
    raw = await bodies.read_optional_json(request.scope, request.receive, ACT_LIMIT)
    tree = submission.parse(raw) if raw else {}
    asked = query.read(request.scope["query_string"], operation.query)
    body = Members(tree)
    by = body.optional("by", members.reason, asked.get("by"))
    reason = body.optional("reason", members.reason, asked.get("reason"))
    if "id" not in asked:
        return Asked(by, reason, body, raw)
    return Asked(by, reason, body, raw, body.optional("id", members.own_id, asked["id"]))
