"""unlost: the task-processing service that does not lose a task."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from unlost.handlers import Handlers, Reject, Retry, Task

__all__ = ["Handlers", "Reject", "Retry", "Task"]


def __getattr__(name: str) -> object:
    """What users import, once they do: nothing is imported before `__main__` has set the path."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unlost import handlers  # noqa: PLC0415

    return getattr(handlers, name)
