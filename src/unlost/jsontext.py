"""JSON texts: strict reading, exact equality, and the text kept as it was sent.

`parse` gives a tree in *normal form*: dicts, lists, strings, booleans and None as usual, and each
number by its exact value, whatever its spelling. An integer of at most 15 digits is an `int`; any
other number is a `msgspec.Raw` of `<digits>e<exponent>`, the digits without outer zeros. So equal
trees mean equal JSON, nothing is rounded, and `1e999999999999` is never expanded. Encoded with
sorted member names, such a tree is the canonical text that `digest` hashes. Digests are stored:
the canonical text must never change.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from hashlib import sha256
from itertools import accumulate
from math import isfinite
from typing import Any, Final, NoReturn

import msgspec
from msgspec import Raw

MAX_DEPTH: Final = 128  # levels of objects and arrays in a payload, or in a result; `{}` is one

_PLAIN_DIGITS: Final = 15  # part of the canonical text
_SAFE_DIGITS: Final = 600  # CPython converts at least 640 between str and int, however it is set
_WIDEST: Final = 100_000  # beyond 10^±this, a number's size is all that `decimal_of` tells


class NotJson(ValueError):
    """The text is not strict JSON; the message says what is wrong, and where if that is known."""


class NotEncodable(ValueError):
    """JSON cannot hold this Python value; the message says why."""


def number(text: str) -> int | Raw:
    """Return a number in normal form."""
    mantissa, _, exponent = text.replace("E", "e").partition("e")
    whole, _, fraction = mantissa.partition(".")
    sign = "-" if whole[0] == "-" else ""
    digits = (whole + fraction).lstrip("-0")
    significant = digits.rstrip("0")
    if not significant:
        return 0
    shift = len(digits) - len(significant) - len(fraction)
    magnitude = exponent.lstrip("+-0")
    if len(magnitude) > 18:
        return Raw(f"{sign}{significant}e{_long_sum(exponent, shift)}".encode())
    power = shift + int(magnitude or 0) * (-1 if exponent[:1] == "-" else 1)
    if power >= 0 and len(significant) + power <= _PLAIN_DIGITS:
        return int(sign + significant + "0" * power)
    return Raw(f"{sign}{significant}e{power}".encode())


def _long_sum(integer: str, addend: int) -> str:
    # Decimal converts in linear time and knows no limit of digits; int does neither.
    context = Context(prec=len(integer) + 20, Emax=MAX_EMAX, Emin=MIN_EMIN)
    return str(context.add(Decimal(integer), addend))


def _integer(text: str) -> int | Raw:
    return int(text) if len(text) <= _PLAIN_DIGITS else number(text)


def decimal_of(node: object) -> Decimal | None:
    """Return the value of a number in normal form, or None if `node` is not a number.

    It is exact up to 10^±100,000. A larger number comes as ±Infinity and a smaller one as
    ±1E-100000, so that comparing with any sensible bound is right, and quick.
    """
    if not isinstance(node, Raw):
        return Decimal(node) if isinstance(node, int) and not isinstance(node, bool) else None
    text = str(node, "ascii")
    digits, _, exponent = text.partition("e")
    size = len(digits) + int(exponent[:18])
    if abs(size) <= _WIDEST:
        return Decimal(text)
    limit = Decimal("Infinity") if size > 0 else Decimal(f"1E-{_WIDEST}")
    return limit.copy_sign(Decimal(digits[:2]))


def _members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise NotJson(f"the member name {name[:40]!a} occurs twice in one object")
    return members


def _constant(name: str) -> NoReturn:
    raise NotJson(f"{name} is not JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=number, parse_constant=_constant
)
_read = _decoder.raw_decode
_canonical = msgspec.json.Encoder(order="sorted").encode


def parse(body: bytes, *, max_depth: int = MAX_DEPTH) -> object:
    """Read a JSON text strictly into its normal form.

    Raises `NotJson` for whatever RFC 8259 does not allow, and for a byte order mark, a member name
    that occurs twice in one object, a lone surrogate, and more than `max_depth` levels.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise NotJson(f"not UTF-8 at byte {error.start}") from None
    if is_deeper(body, max_depth):
        raise NotJson(f"nested more than {max_depth} levels deep")
    content = text.strip(" \t\r\n")
    try:
        tree, end = _read(content)
        if b"\\" in body:  # only an escape can bring in a lone surrogate
            _canonical(tree)
    except UnicodeEncodeError:
        raise NotJson("a string holds a lone surrogate") from None
    except json.JSONDecodeError as error:
        raise _fault(text, content, error.pos, error.msg) from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    if end != len(content):
        raise _fault(text, content, end, "something follows the JSON value")
    return tree


_fast = msgspec.json.Decoder(float_hook=number).decode
_DIGITS = bytes(48 if 48 <= byte < 58 else 32 for byte in range(256))
_LONG = b"0" * _PLAIN_DIGITS


def written(plain: object) -> bytes:
    """Return what was sent, less white space, of what `parse_written` read, or of a part of it."""
    return msgspec.json.encode(plain)


def parse_written(body: bytes, *, max_depth: int = MAX_DEPTH) -> tuple[Any, Any] | None:
    """Return what `parse` does of most texts, in less time, and the same as `written` takes it;
    None of those for which it cannot tell.

    What comes out the same when it is written again has been read without loss: no member name
    occurs twice in it, and every number in it is spelled as it is written.
    """
    if is_deeper(body, max_depth) or has_long_number(body):
        return None
    try:
        tree = _fast(body)
        again = written(tree)
        if again == body or again == (sent := msgspec.json.format(body, indent=-1)):
            return tree, tree
        if b"." in body:
            plain = msgspec.json.decode(body)
            if written(plain) == sent:
                return tree, plain
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    return None


def has_long_number(text: bytes) -> bool:
    """Return whether there may be a number of so many digits that it is no `int` in normal form."""
    return text.translate(_DIGITS).rfind(_LONG) >= 0  # from the end it is found in less time


def _fault(text: str, content: str, position: int, what: str) -> NotJson:
    if text.startswith("\ufeff"):
        return NotJson("it starts with a byte order mark")
    before = text[: text.index(content) + position] if content else text
    return NotJson(f"{what.rstrip(' :').removesuffix(' at')} at byte {len(before.encode())}")


_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_LEVELS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # as signed bytes, 1 and -1
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


def depth(raw: bytes) -> int:
    """Return how many levels of objects and arrays a JSON text has, in linear time.

    Of a malformed text, it is at least the depth that a parser reaches before the fault.
    """
    brackets = _STRING.sub(b"", raw).translate(_LEVELS, _NO_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0)


def is_deeper(raw: bytes, levels: int) -> bool:
    """Return whether a JSON text has more levels than these (see `depth`)."""
    return raw.count(b"{") + raw.count(b"[") > levels and depth(raw) > levels


def digest(payload: object, options: object) -> bytes:
    """Return the SHA-256 of payload and options, both in normal form: equal JSON, equal digest."""
    return sha256(_canonical([payload, options])).digest()


def is_same(text: str, other: str) -> bool:
    """Return whether two texts are equal JSON; what `parse` does not read equals itself alone."""
    if text == other:
        return True
    try:
        return digest(parse(text.encode()), None) == digest(parse(other.encode()), None)
    except NotJson:
        return False


class _WithPayload(msgspec.Struct):
    payload: Raw = Raw(b"")


_with_payload = msgspec.json.Decoder(_WithPayload).decode


def raw_payload(body: bytes) -> bytes | None:
    """Return the member `payload` of an object that `parse` accepted as sent, or None if absent.

    White space around the value is not part of it.
    """
    return bytes(_with_payload(body).payload) or None


def compact(raw: bytes) -> str:
    """Return a text that `parse` accepted as it was sent, less the insignificant white space.

    Escapes, member order and the spelling of numbers stay. The result has no line break.
    """
    return msgspec.json.format(raw, indent=-1).decode()


def decode(text: str) -> object:
    """Return the Python value of a JSON text; integers are exact at any length.

    Raises ValueError if it is malformed, but does not look for all that `parse` refuses.
    """
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # it refuses long integers and 1e999 too
        return json.loads(text, parse_int=_long_int, parse_constant=_constant)


def _long_int(text: str) -> int:
    if len(text) <= _SAFE_DIGITS:
        return int(text)
    low = len(text) // 2
    high, rest = _long_int(text[:-low]), _long_int(text[-low:])
    return high * int(10**low) + (-rest if text[0] == "-" else rest)


def encode(value: object) -> str:
    """Return a Python value as compact JSON: dict, list, tuple, str, int, float, bool and None.

    Raises `NotEncodable` for anything else, a member name that is not a string, NaN, an infinity,
    a lone surrogate, and a value that contains itself or has more than `MAX_DEPTH` levels.
    """
    try:
        if _is_exact(value, 0):
            return msgspec.json.encode(value).decode()
    except (OverflowError, ValueError, RecursionError):
        pass  # the longer way says what it is, or finds that it can be written
    try:
        return msgspec.json.encode(_plain(value, 0)).decode()
    except UnicodeEncodeError:
        raise NotEncodable("a string holds a lone surrogate") from None
    except RecursionError:
        raise NotEncodable("nested too deeply") from None


_TEXT = frozenset([str])
_SCALARS = frozenset([str, int, bool, type(None)])


def _is_exact(value: object, level: int) -> bool:
    """Whether msgspec writes it as it is meant to be: all types are JSON's own, no subclass, no
    number that it would write as null."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if isinstance(value, float):
        return kind is float and isfinite(value)
    items: Collection[object]
    if isinstance(value, dict) and kind is dict and _TEXT.issuperset(map(type, value)):
        items = value.values()
    elif isinstance(value, list) and kind is list:
        items = value
    else:
        return False
    if level >= MAX_DEPTH:
        return False
    if _SCALARS.issuperset(map(type, items)):
        return True
    level += 1
    return all(_is_exact(item, level) for item in items if type(item) not in _SCALARS)


def _plain(value: object, level: int) -> object:
    # Subclasses become their base type here, since msgspec would ask the subclass.
    match value:
        case None | bool():
            return value
        case str():
            return str.__str__(value)
        case int() if value.bit_length() < _SAFE_DIGITS * 3:
            return int.__int__(value)
        case int():
            return Raw(str(Decimal(value)).encode())
        case float() if isfinite(value):
            return float.__float__(value)
        case float():
            raise NotEncodable(f"{value!r} is not a JSON number")
        case dict() | list() | tuple():
            return _plain_container(value, level + 1)
    raise NotEncodable(f"a value of type {type(value).__name__} is not JSON")


def _plain_container(
    value: dict[str, object] | list[object] | tuple[object, ...], level: int
) -> object:
    if level > MAX_DEPTH:
        raise NotEncodable(f"more than {MAX_DEPTH} levels, or a value that contains itself")
    if not isinstance(value, dict):
        return [_plain(item, level) for item in value]
    if not all(isinstance(name, str) for name in value):
        raise NotEncodable("a dict has a key that is not a string")
    return {str.__str__(name): _plain(item, level) for name, item in value.items()}
