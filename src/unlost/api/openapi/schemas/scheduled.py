"""By which schedule a task was submitted."""

from __future__ import annotations

import msgspec

from unlost.api.openapi.schemas.fields import OwnId, Time


class ScheduledBody(msgspec.Struct, frozen=True):
    """The schedule by which a task was submitted, and the time for which."""

    id: OwnId
    time: Time
