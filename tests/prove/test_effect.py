"""`task.effect`: recorded while a handler is proved, nothing elsewhere."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from unlost.handlers import Task
from unlost.prove.journal import NAME_LIMIT, Journal, Kind, read


def task() -> Task:
    return Task(
        id="t", type="mail", payload="{}", attempt=1, max_retries=2, redrive_count=0,
        submitted_at=0, deadline=0, number=4,
    )  # fmt: skip


def test_outside_of_a_proof_it_does_nothing() -> None:
    task().effect("sent")


def test_in_a_proof_its_task_and_name_are_passed_on() -> None:
    told: list[tuple[str, str]] = []
    with patch.object(Task, "_witness", lambda one, name: told.append((one.id, name))):
        task().effect("sent")
    assert told == [("t", "sent")]


def test_any_name_can_be_written_down_from_several_journals_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first, second = Journal(path, 1), Journal(path, 2)
    names = ["sent", "two\nlines", "\ud800", "x" * 5_000]
    for journal in (first, second):
        for name in names:
            journal.note(Kind.EFFECT, "t", 4, name)
        journal.close()
    notes = read(path)
    assert [note.generation for note in notes] == [1] * 4 + [2] * 4
    assert [note.what for note in notes[:3]] == ["sent", "two\nlines", "\\ud800"]
    assert len(notes[3].what.encode()) <= NAME_LIMIT
