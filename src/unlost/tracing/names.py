"""Names and attributes of spans, by OpenTelemetry's semantic conventions for messaging.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/ ; a task is a message, its
type the destination.  What they have no name for begins with `unlost.`.
"""

from __future__ import annotations

from typing import Final

from opentelemetry.trace import Span, Status, StatusCode

SEND: Final = "send"
PROCESS: Final = "process"
SETTLE: Final = "settle"

DESTINATION: Final = "messaging.destination.name"
MESSAGE_COUNT: Final = "messaging.batch.message_count"
ERROR_TYPE: Final = "error.type"

ATTEMPT: Final = "unlost.attempt.number"
REDRIVES: Final = "unlost.redrive_count"
WAIT: Final = "unlost.wait_seconds"
OUTCOME: Final = "unlost.attempt.outcome"
EVENT: Final = "unlost.task.event"
RETRY_IN: Final = "unlost.retry_in_seconds"
EXCUSED: Final = "unlost.excused"
REFUSED: Final = "unlost.settlement.refused"
REAPED: Final = "unlost.settlement.reaped_from"
VERDICT: Final = "unlost.submit.verdict"

Attributes = dict[str, str | int | float | bool]


def name(operation: str, destination: str | None = None) -> str:
    """A span's name."""
    return operation if destination is None else f"{operation} {destination}"


def attributes(
    operation: str, destination: str | None = None, task_id: str | None = None
) -> Attributes:
    """What every span says: the operation, and the one type and task where it is about one."""
    said: Attributes = {
        "messaging.system": "unlost",
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    if destination is not None:
        said[DESTINATION] = destination
    if task_id is not None:
        said["messaging.message.id"] = task_id
    return said


def fail(span: Span, error_type: str) -> None:
    """Say that what a span is about failed.  Never why: messages hold users' data."""
    span.set_attribute(ERROR_TYPE, error_type)
    span.set_status(Status(StatusCode.ERROR))
