"""Tracing with X-Ray, where it is switched on: each invocation, and its calls of AWS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

Function = Callable[[Any, Any], Any]
"""Takes an event and its context, and gives the answer."""


def start(service: str) -> Callable[[Function], Function]:
    """Trace this process's calls of AWS; what it gives traces a function's invocations.

    Neither events nor answers go into the traces: they have payloads in them.  Call this before
    clients are made.
    """
    from aws_lambda_powertools import Tracer  # noqa: PLC0415  it brings the whole X-Ray SDK

    tracer = Tracer(service, patch_modules=("botocore",))

    def traced(function: Function) -> Function:
        return cast(Function, tracer.capture_lambda_handler(function, capture_response=False))

    return traced
