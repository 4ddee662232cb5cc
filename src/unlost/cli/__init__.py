"""The command line: `unlost`, one file per group of commands."""

from unlost.cli.entry import main

__all__ = ["main"]
