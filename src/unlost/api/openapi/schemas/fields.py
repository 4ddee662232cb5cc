"""What several schemas have in common."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from unlost.task import MAX_ID

OWN_ID = r"^[A-Za-z0-9._:-]{1,200}$"
"""What ids of calls, and of other things that clients name, are made of."""

PATH_ID = r"^(?!\.\.?$)[A-Za-z0-9._:-]{1,200}$"
"""The same of what has a path of its own, where . and .. mean something else."""

NO_CONTROL = r"^[^\u0000-\u001f\u007f-\u009f]*$"
Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
OwnId = Annotated[str, Meta(pattern=OWN_ID)]
PathId = Annotated[str, Meta(pattern=PATH_ID)]
TaskId = Annotated[str, Meta(min_length=1, max_length=MAX_ID)]
