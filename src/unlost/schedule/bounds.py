"""What is allowed of times, for those who describe it without asking when they are."""

from __future__ import annotations

from typing import Final

DEFAULT_ZONE: Final = "UTC"
MAX_CRON: Final = 1000
MAX_EVERY: Final = 50 * 366 * 86_400
"""Seconds: fifty years.  A schedule whose next time is further than that has none."""
