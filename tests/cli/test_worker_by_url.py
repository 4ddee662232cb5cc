"""`unlost worker --url`: what cannot be started says why in one line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command


@pytest.mark.parametrize(
    ("flags", "status", "told"),
    [
        (
            ("--url", "http://127.0.0.1:9", "--types", "a"),
            1,
            "http://127.0.0.1:9 (Connection refused)",
        ),
        (("--url", "http://127.0.0.1:9", "--ledger", "sqlite:///l.db"), 2, "--ledger does not go"),
        (("--url", "http://127.0.0.1:9", "--lease", "2"), 2, "--lease must be 5 or more"),
        (("--url", "http://127.0.0.1:9", "--outbox", "sqlite:///l.db"), 2, "--outbox does not go"),
        (("--url", "nowhere"), 2, "a URL is like"),
        (("--types", "a"), 2, "--types goes with --url"),
    ],
)
def test_what_cannot_be_started_is_one_line(
    unlost: Command, flags: tuple[str, ...], status: int, told: str
) -> None:
    wrong = status == 2  # else it has started, and needs a process of its own
    result = unlost("worker", *flags) if wrong else unlost.fed(b"", "worker", *flags)
    assert result.status == status
    assert told in result.complaint
