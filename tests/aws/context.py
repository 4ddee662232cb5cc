"""What Lambda tells a function of its invocation."""

from __future__ import annotations

import time


class Context:
    """An invocation's time counts down from `seconds`."""

    aws_request_id = "request-1"

    def __init__(self, seconds: float = 900.0) -> None:
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._end - time.monotonic()) * 1000))

    def left(self) -> float:
        return self.get_remaining_time_in_millis() / 1000
