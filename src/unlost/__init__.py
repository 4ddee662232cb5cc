"""unlost: the task-processing service that does not lose a task."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from unlost import outbox
    from unlost.handlers import AttemptOver, Handlers, NotHere, Reject, Retry, StepNotKept, Task

__all__ = [
    "AttemptOver", "Handlers", "NotHere", "Reject", "Retry", "StepNotKept", "Task", "outbox",
]  # fmt: skip


def __getattr__(name: str) -> object:
    """What users import, once they do: nothing is imported before `__main__` has set the path."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "outbox":
        from importlib import import_module  # noqa: PLC0415

        return import_module("unlost.outbox")
    from unlost import handlers  # noqa: PLC0415

    return getattr(handlers, name)
