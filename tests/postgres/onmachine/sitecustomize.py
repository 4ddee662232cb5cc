"""Sets the clock of a machine in tests: every process of it starts with this."""

from __future__ import annotations

import os
import time

AHEAD = int(os.environ.get("CLOCK_AHEAD", "0"))
"""Seconds by which this machine's clock is wrong."""

if AHEAD:
    true_time, true_time_ns = time.time, time.time_ns
    vars(time)["time"] = lambda: true_time() + AHEAD
    vars(time)["time_ns"] = lambda: true_time_ns() + AHEAD * 1_000_000_000
