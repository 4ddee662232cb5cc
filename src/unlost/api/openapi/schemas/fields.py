"""What several schemas have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from unlost.task import MAX_ID

NO_CONTROL = r"^[^\u0000-\u001f\u007f-\u009f]*$"
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
TaskId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
