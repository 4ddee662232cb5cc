"""unlost: the task-processing service that does not lose a task."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from unlost import outbox
    from unlost.client import (
        AsyncClient,
        Client,
        Conflict,
        NotFound,
        Refused,
        Unavailable,
        UnlostError,
    )
    from unlost.handlers import AttemptOver, Handlers, NotHere, Reject, Retry, StepNotKept, Task

__all__ = [
    "AsyncClient",
    "AttemptOver",
    "Client",
    "Conflict",
    "Handlers",
    "NotFound",
    "NotHere",
    "Refused",
    "Reject",
    "Retry",
    "StepNotKept",
    "Task",
    "Unavailable",
    "UnlostError",
    "outbox",
]

_OF_CLIENT = {
    "AsyncClient", "Client", "Conflict", "NotFound", "Refused", "Unavailable", "UnlostError",
}  # fmt: skip


def __getattr__(name: str) -> object:
    """What users import, once they do: nothing is imported before `__main__` has set the path."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415

    if name == "outbox":
        return import_module("unlost.outbox")
    owner = "unlost.client" if name in _OF_CLIENT else "unlost.handlers"
    return getattr(import_module(owner), name)
