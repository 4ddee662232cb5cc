"""Reading which steps a redrive is to forget."""

from __future__ import annotations

from unlost.api.openapi.schemas.problems import FieldError
from unlost.api.problems import Invalid, invalid, pointer
from unlost.asked.checks import Wrong
from unlost.effects import MAX_FORGET, MAX_FORGOTTEN, MAX_NAME, Forget, is_name


def names(value: object) -> tuple[str, ...]:
    """Names of steps, each once."""
    if not isinstance(value, list) or len(value) > MAX_FORGET:
        raise Wrong(f"must be an array of at most {MAX_FORGET} names of steps")
    if not all(is_name(one) for one in value):
        raise Wrong(f"must have names of 1 to {MAX_NAME} of A-Z a-z 0-9 . _ - :")
    return tuple(dict.fromkeys(value))


def names_or_all(value: object) -> Forget:
    """The same, or true for all."""
    return True if value is True else names(value)


def not_said() -> Invalid:
    """What is wrong where a new payload is given, and the task has steps."""
    why = "must say which of the task's steps are made again, where it gets another payload"
    return invalid([FieldError(why, pointer("forget"))])


def too_many() -> Invalid:
    """What is wrong where the task has been made to forget so much before."""
    why = f"would have the task's redrives forget more than {MAX_FORGOTTEN:,} names in all"
    return invalid([FieldError(why, pointer("forget"))])
