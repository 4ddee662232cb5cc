"""Why a command stops, and with which exit status."""

from __future__ import annotations


class WrongUsage(Exception):
    """The command line or a setting cannot be used: exit status 2.

    The message is for the person who typed it.
    """


class Failed(Exception):
    """What was asked for could not be done: exit status 1.  The message says why."""
