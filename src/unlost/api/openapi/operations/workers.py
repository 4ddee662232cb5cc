"""What can be asked about workers."""

from __future__ import annotations

from unlost.api.openapi.operation import Answer, Operation
from unlost.api.openapi.schemas import workers as schemas

WORKERS = Operation(
    "GET",
    "/workers",
    "listWorkers",
    "List the workers, and what they run.",
    {200: Answer("The workers, by id.", schemas.WorkersBody)},
)
