"""What a redrive makes run again, for the question before it."""

from __future__ import annotations

from unlost.cli.client.answers import TaskSeen
from unlost.cli.client.connection import Refused, Service, read, task_path
from unlost.cli.commands.dead.redrive import Wish


def what_runs_again(service: Service, ids: tuple[str, ...], wish: Wish) -> str:
    """The steps that run again and those that do not, as the end of a question; empty where
    nothing was said of them."""
    if wish.forgets is None:
        return ""
    if len(ids) != 1:
        return f"; made again: {', '.join(wish.forget)}"
    known = _standing(service, ids[0])
    again = known if wish.forget_all else list(wish.forget)
    kept = [name for name in known if name not in again]
    parts = [f"made again: {', '.join(again) or 'nothing'}"]
    if kept:
        parts.append(f"kept: {', '.join(kept)}")
    return "".join(f"; {part}" for part in parts)


def _standing(service: Service, task_id: str) -> list[str]:
    """The names of the task's recorded steps, as far as the key may read them."""
    try:
        task = read(service.get(task_path("/tasks", task_id)), TaskSeen)
    except Refused:
        return []
    return [step.name for step in task.steps if step.forgotten_at is None]
