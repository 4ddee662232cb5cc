"""Clients of a service: what applications import to submit tasks and to look after them.

`core` decides what to send, what an answer means, and when to try again, without I/O; `edges` is
what meets the network; `async_client` and `async_groups` are what users call, of which `client`
and `groups` are made.  httpx is imported once a client is made.
"""

from unlost.client.async_client import AsyncClient
from unlost.client.client import Client
from unlost.client.errors import (
    Conflict,
    Fault,
    NotFound,
    Problem,
    Refused,
    Unavailable,
    UnlostError,
)
from unlost.client.options import NewTask
from unlost.client.values import (
    ActInfo,
    AttemptInfo,
    ErrorInfo,
    Lagged,
    RedriveInfo,
    ScheduleInfo,
    Stats,
    StepInfo,
    SubmitResult,
    TaskEvent,
    TaskInfo,
    TypeInfo,
)

__all__ = [
    "ActInfo",
    "AsyncClient",
    "AttemptInfo",
    "Client",
    "Conflict",
    "ErrorInfo",
    "Fault",
    "Lagged",
    "NewTask",
    "NotFound",
    "Problem",
    "RedriveInfo",
    "Refused",
    "ScheduleInfo",
    "Stats",
    "StepInfo",
    "SubmitResult",
    "TaskEvent",
    "TaskInfo",
    "TypeInfo",
    "Unavailable",
    "UnlostError",
]
