"""Refusals (see `problems`)."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from unlost.task import State


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fault: where it is (in the body, or which parameter of the query) and what it is."""

    detail: str
    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET

    @property
    def name(self) -> str:
        return str(self.parameter if self.pointer is UNSET else self.pointer)


class ProblemBody(msgspec.Struct, frozen=True):
    """A refusal (RFC 9457); `state` is that of the task of an attempt that runs no more."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] | UnsetType = UNSET
    state: State | UnsetType = UNSET
