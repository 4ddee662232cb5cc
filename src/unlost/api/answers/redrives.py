"""Redrives as the API shows them."""

from __future__ import annotations

from msgspec import UNSET

from unlost.api.openapi.schemas.redrives import RedriveBody
from unlost.redrive import Redrive
from unlost.times import rfc3339


def redrive_body(redrive: Redrive) -> RedriveBody:
    """A redrive and its sums."""
    return RedriveBody(
        id=redrive.id,
        state=redrive.state,
        selected=redrive.selected,
        redriven=redrive.redriven,
        succeeded=redrive.succeeded,
        died_again=redrive.died_again,
        cancelled=redrive.cancelled,
        gone=redrive.gone,
        under_way=redrive.under_way,
        left=redrive.left,
        why=redrive.why,
        by=redrive.by,
        reason=redrive.reason,
        api_key=redrive.api_key,
        forget=redrive.forget or UNSET,
        started_at=rfc3339(redrive.started_at),
        updated_at=rfc3339(redrive.updated_at),
    )
