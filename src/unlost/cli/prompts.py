"""Asking before something is done that is not undone."""

from __future__ import annotations

import sys

from unlost.cli.failures import Failed


def agree(question: str, yes: bool) -> None:
    """Go on only with `--yes`, an answer of y or yes, or nobody there to ask.  Raises Failed."""
    if asks(yes) and not is_agreed(question):
        raise Failed("nothing was done")


def asks(yes: bool) -> bool:
    """Whether a person is asked: without `--yes`, where one is there."""
    return not yes and sys.stdin.isatty() and sys.stderr.isatty()


def is_agreed(question: str) -> bool:
    """Whether a person answers y or yes."""
    return (answer(f"{question} [y/N]") or "").lower() in ("y", "yes")


def answer(question: str) -> str | None:
    """What a person answers, without the spaces around it; None where the input has ended."""
    print(f"{question} ", end="", file=sys.stderr, flush=True)
    line = sys.stdin.readline()
    return line.strip() if line else None
