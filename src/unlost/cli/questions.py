"""Asking before something is done that is not undone."""

from __future__ import annotations

import sys


def agreed(question: str, yes: bool) -> bool:
    """Whether to go on: `--yes`, an answer of y or yes, or nobody there to ask."""
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer in ("y", "yes"):
        return True
    print("nothing was done", file=sys.stderr)
    return False
