"""unlost: the task-processing service that does not lose a task."""

from unlost.handlers import Handlers, Reject, Retry, Task

__all__ = ["Handlers", "Reject", "Retry", "Task"]
