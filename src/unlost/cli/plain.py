"""A command line that is written plainly, read without the library that reads the others.

A service runs on in the process that was given its flags, and would keep the library, and what that
imports, in memory for as long.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Given = dict[str, str | bool | list[str]]
"""What was given, by flag."""

_PLAIN = re.compile(r"[^\s\-\[{].*", re.DOTALL)
"""A value that can be nothing else: no flag, and no JSON."""


def read(words: Sequence[str], kinds: Mapping[str, type]) -> Given | None:
    """What these words give to flags, each a `bool`, a `str`, or a `list` that may be repeated.

    None where they hold anything else than flags that are written out and plain values of theirs:
    then the library, which reads the same where this answers, has more to say of them.
    """
    given: Given = {}
    rest = iter(words)
    for word in rest:
        flag, equals, value = word.partition("=")
        kind = kinds.get(flag)
        if kind is None or (flag in given and kind is not list):
            return None
        if kind is bool:
            if equals:
                return None
            given[flag] = True
            continue
        value = value if equals else next(rest, "")
        if not _PLAIN.fullmatch(value):
            return None
        if kind is list:
            given[flag] = [*_before(given, flag), value]
        else:
            given[flag] = value
    return given


def _before(given: Given, flag: str) -> list[str]:
    values = given.get(flag)
    return values if isinstance(values, list) else []
