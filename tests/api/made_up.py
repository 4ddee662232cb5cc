"""Bodies that are tasks, nearly tasks, and anything but: strategies for Hypothesis."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.api.oracle import RIGHT_TIMES

NUMBERS = [
    "0", "-0", "1", "1.0", "10e-1", "2", "0.5", "-1", "100", "100.00", "101", "1e2", "31536000",
    "31536000.1", "43200", "1e-9", "9007199254740993", "9007199254740992", "1E400", "-1e-400",
]  # fmt: skip
TIMES = [*RIGHT_TIMES, "2030-01-01T00:00:00", "2030-01-01", "never", ""]
MEMBERS = (
    "payload", "type", "priority", "maxRetries", "delaySeconds", "timeoutSeconds", "runAt",
    "key",
)  # fmt: skip


class Raw(str):
    """A text that goes into the body as it is."""

    __slots__ = ()


numbers = st.sampled_from(NUMBERS).map(Raw) | st.integers(-(10**20), 10**20).map(str).map(Raw)
words = st.sampled_from(["", "a", "é", "\U0001f600", ".", "..", "a\nb", "\x7f", "x" * 256, '"\\'])
texts = words | st.text(st.characters(codec="utf-8"), max_size=6)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
payloads = st.dictionaries(texts, values, max_size=3)
ids = st.sampled_from(["t", "u", "t/1", "é", "batch"])


def members(ids: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """What a task may have; most of it right."""
    odd = st.just(None) | values
    return st.fixed_dictionaries(
        {"taskId": ids, "payload": payloads},
        optional={
            "type": st.sampled_from(["default", "mail", "x" * 100]) | odd,
            "priority": numbers | odd,
            "maxRetries": numbers | odd,
            "delaySeconds": numbers | odd,
            "timeoutSeconds": numbers | odd,
            "runAt": st.sampled_from(TIMES) | odd,
            "key": st.sampled_from(["ann", "x" * 255]) | odd,
        },
    )


def spell(value: Any, random: Random) -> str:
    """A value as JSON text: with spaces here and there, and characters plain or escaped."""

    def space() -> str:
        return random.choice(["", "", "", " ", "\t", "\r", "  "])

    match value:
        case Raw():
            return value
        case str():
            return json.dumps(value, ensure_ascii=random.random() < 0.5)
        case list():
            items = [space() + spell(item, random) + space() for item in value]
            return f"[{','.join(items)}]"
        case dict():
            pairs = [
                f"{space()}{spell(name, random)}{space()}:{space()}{spell(item, random)}"
                for name, item in value.items()
            ]
            return f"{{{','.join(pairs)}{space()}}}"
    return json.dumps(value)


def spelled(value: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Values as JSON, in one of their many spellings."""
    return st.builds(
        lambda made, seed: spell(made, Random(seed)).encode(), value, st.integers(0, 2**32)
    )


JUNK = [
    b"\xef\xbb\xbf", b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\u0061", b"NaN", b"-Infinity", b",",
    b'"', b"{", b"}", b"[" * 200, b"]", b":", b"0", b"1e5", b"\x00", b"\\", b"//", b"null",
    b'"payload":{}', b'"a":1,"a":1', b"\xc2\xa0", b"\n",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """A body with something put in, left out or cut off."""
    body = draw(whole)
    at = draw(st.integers(0, len(body)))
    junk = draw(st.sampled_from(JUNK) | st.binary(max_size=3))
    gone = draw(st.sampled_from([0, 0, 1, 2, 10**6]))
    return body[:at] + junk + body[at + gone :]


def tasks(ids: st.SearchStrategy[str] = ids) -> st.SearchStrategy[bytes]:
    """Bodies of a single submit that are JSON, most of them of a task."""
    return spelled(members(ids))


bodies = tasks() | damaged(tasks()) | spelled(values)
