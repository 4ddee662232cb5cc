"""Python values for handlers, and results as JSON."""

from __future__ import annotations

import enum
import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from unlost import jsontext
from unlost.jsontext import NotEncodable


@pytest.fixture
def narrowest_int_limit() -> Iterator[None]:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    yield
    sys.set_int_max_str_digits(before)


@pytest.mark.usefixtures("narrowest_int_limit")
@pytest.mark.parametrize("digits", [599, 600, 601, 640, 641, 1300, 4301, 20_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_of_any_length_reach_a_handler_and_come_back(digits: int, sign: str) -> None:
    text = f'{{"n":{sign}{"90" * (digits // 2)}{"3" * (digits % 2)}}}'
    jsontext.parse(text.encode())
    value = jsontext.decode(text)
    assert isinstance(value, dict)
    assert value["n"] % 10**9 == int(f"{sign}{text[-10:-1]}") % 10**9
    assert 10 ** (digits - 1) <= abs(value["n"]) < 10**digits
    assert jsontext.encode(value) == text


def test_handlers_get_ordinary_values() -> None:
    text = '{"a":[1,-0,2.50,1e3,-0.0,9007199254740993,1e999,"\\ud83d\\ude00",true,null,{}]}'
    assert repr(jsontext.decode(text)) == repr(json.loads(text))


def test_results_are_compact_json() -> None:
    value = {"é": (1, 2.5, True, None), "b": [{}, [], "\n\u2028"], "": 1e300}
    text = jsontext.encode(value)
    assert text == '{"é":[1,2.5,true,null],"b":[{},[],"\\n\u2028"],"":1e300}'
    assert jsontext.decode(text) == {**value, "é": [1, 2.5, True, None]}


def test_subclasses_count_as_what_they_derive_from() -> None:
    class Loud(str):
        __slots__ = ()

        def __str__(self) -> str:
            return self.upper()

    class Colour(enum.StrEnum):
        RED = "red"

    class Metres(float):
        pass

    class Count(enum.IntEnum):
        ONE = 1

    value = {Loud("a"): Count.ONE, Colour.RED: [Colour.RED, Metres(1.5), Loud("b")]}
    assert jsontext.encode(value) == '{"a":1,"red":["red",1.5,"b"]}'


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


CIRCLE: list[object] = []
CIRCLE.append({"again": CIRCLE})


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "nan"),
        ([float("-inf")], "-inf"),
        ({"a": {1, 2}}, "set"),
        (b"bytes", "bytes"),
        (object(), "object"),
        (Decimal("1.5"), "Decimal"),
        ({1: "a"}, "key"),
        ({"a": {None: 1}}, "key"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (CIRCLE, "itself"),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_what_json_cannot_hold_is_refused_with_the_reason(value: object, reason: str) -> None:
    with pytest.raises(NotEncodable, match=reason):
        jsontext.encode(value)


@pytest.mark.parametrize("wrap", [lambda one: [1, [one]], lambda one: {"a": 1, "b": {"c": one}}])
@pytest.mark.parametrize(
    "value",
    [float("nan"), {1}, b"a", Decimal(1), {1: 2}, {"a": 1, 2: 3}, datetime(2026, 1, 1, tzinfo=UTC),
     UUID(int=1), "\ud800", (1, {2}), [float("inf")]],
    ids=str,
)  # fmt: skip
def test_what_json_cannot_hold_is_refused_wherever_it_is(
    value: object, wrap: Callable[[object], object]
) -> None:
    """Also where the encoder has a form for it of its own."""
    with pytest.raises(NotEncodable):
        jsontext.encode(wrap(value))


def test_results_have_at_most_128_levels() -> None:
    assert jsontext.decode(jsontext.encode(nested(128))) == nested(128)
    for levels in (129, 100_000):
        with pytest.raises(NotEncodable, match="128 levels"):
            jsontext.encode(nested(levels))
