"""Asking before something is done that is not undone."""

from __future__ import annotations

import sys

from unlost.cli.failures import Failed


def agree(question: str, yes: bool) -> None:
    """Go on only with `--yes`, an answer of y or yes, or nobody there to ask.  Raises Failed."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer not in ("y", "yes"):
        raise Failed("nothing was done")
