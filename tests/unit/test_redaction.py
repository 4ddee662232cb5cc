"""What is masked, and that a mask which comes back keeps the value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unlost.telemetry.redaction import MASK, Redaction, is_pointer

CARD = (
    '{"card":{"number":"4111","cvc":12},"lines":[{"price":1.50,"note":"a"},{"price":2}],"n":1e400}'
)


@pytest.mark.parametrize(
    ("pointers", "shown"),
    [
        (["/card/number"], CARD.replace('"4111"', f'"{MASK}"')),
        (["/card"], CARD.replace('{"number":"4111","cvc":12}', f'"{MASK}"')),
        (["/card", "/card/number"], CARD.replace('{"number":"4111","cvc":12}', f'"{MASK}"')),
        (["/card/number", "/card"], CARD.replace('{"number":"4111","cvc":12}', f'"{MASK}"')),
        (
            ["/lines/*/price"],
            CARD.replace("1.50", f'"{MASK}"').replace('"price":2', f'"price":"{MASK}"'),
        ),
        (["/lines/1/price"], CARD.replace('"price":2', f'"price":"{MASK}"')),
        (
            ["/*/cvc", "/card/number"],
            CARD.replace("12}", f'"{MASK}"}}').replace('"4111"', f'"{MASK}"'),
        ),
        (["/nothing", "/card/number/x", "/lines/7", "/n/x"], CARD),
        ([], CARD),
    ],
)  # fmt: skip
def test_the_values_at_pointers_are_masked_and_the_rest_stays_as_it_is(
    pointers: list[str], shown: str
) -> None:
    assert Redaction(pointers).mask(CARD) == shown
    assert Redaction(pointers).restore(shown, CARD) == CARD


@pytest.mark.parametrize(
    ("pointer", "text"),
    [
        ("/a~1b", '{"a/b":1}'),
        ("/a~0b", '{"a~b":1}'),
        ("/number", r'{"\u006eumber":1}'),
        ("/*", '{"x":1}'),
        ("/0", "[1]"),
        ("/", '{"":1}'),
    ],
)
def test_names_are_compared_as_they_are_meant(pointer: str, text: str) -> None:
    [masked] = json.loads(
        Redaction([pointer]).mask(text).replace("[", '{"x":').replace("]", "}")
    ).values()
    assert masked == MASK


def test_what_was_changed_is_taken_and_what_is_new_too() -> None:
    redaction = Redaction(["/card/number", "/lines/*/price"])
    lines = f'[{{"price":9}},{{"price":"{MASK}"}},{{"price":"{MASK}"}}]'
    sent = f'{{"card":{{"number":"{MASK}"}},"lines":{lines}}}'
    restored = json.loads(redaction.restore(sent, CARD))
    assert restored == {
        "card": {"number": "4111"},
        "lines": [{"price": 9}, {"price": 2}, {"price": MASK}],
    }
    escaped = sent.replace(MASK, r"\u2022\u2022\u2022")
    assert json.loads(redaction.restore(escaped, CARD)) == restored
    assert redaction.restore(f'{{"other":"{MASK}"}}', '{"other":1}') == f'{{"other":"{MASK}"}}'


_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc*"), inner),
    max_leaves=12,
)
_pointers = st.lists(
    st.lists(st.sampled_from(["a", "b", "c", "*", "0", "1"]), min_size=1, max_size=3).map(
        lambda steps: "/" + "/".join(steps)
    ),
    max_size=3,
)


def _expected(value: Any, pointers: list[list[str]]) -> Any:
    if not isinstance(value, dict | list):
        return value
    items = value.items() if isinstance(value, dict) else enumerate(value)
    shown = []
    for name, inner in items:
        rest = [steps[1:] for steps in pointers if steps[0] in {str(name), "*"}]
        shown.append((name, MASK if [] in rest else _expected(inner, [r for r in rest if r])))
    return dict(shown) if isinstance(value, dict) else [inner for _, inner in shown]


@given(_values, _pointers)
def test_it_is_as_the_pointers_say_and_comes_back(value: Any, pointers: list[str]) -> None:
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    redaction = Redaction(pointers)
    shown = redaction.mask(text)
    assert json.loads(shown) == _expected(value, [pointer.split("/")[1:] for pointer in pointers])
    assert json.loads(redaction.restore(shown, text)) == value


def test_what_is_a_pointer() -> None:
    assert all(map(is_pointer, ("/a", "/a/b", "/", "/a~0~1", "/*")))
    assert not any(map(is_pointer, ("", "a", "a/b", "/a~2", "/~", "#/a")))
