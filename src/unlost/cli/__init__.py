"""The command line: `unlost`, one file per group of commands."""

from unlost.cli.edge import main

__all__ = ["main"]
