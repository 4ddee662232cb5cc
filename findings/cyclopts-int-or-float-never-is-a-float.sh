#!/usr/bin/env bash
# cyclopts 5.5.2, Python 3.11.
#
# What happens: a parameter annotated `int | float` never gets a float that is written with a point.  `--seconds 0.5`
# arrives as the int 0, `--seconds 2.5` as 2, without an error; `--seconds 5e-1` arrives as 0.5.  With `float | int` all
# three are right.  It comes of two rules that are each documented: the types of a union are tried from left to right, and
# a value with a point is rounded for `int` (so that `--n 1.9` for an `int` is 2 and no error either).  That the two
# together leave no room for a float is told nowhere.
#
# What one would guess: that a value which is no int is left to the second type of the union, as "abc" is with `int | str`;
# that the order does not matter, as to Python `int | float == float | int` and to a type checker both are `float`; and
# that 0.5 and 5e-1 are the same number.
# Whom it hurts: `timeout: int | float` and the like: half a second becomes 0, which often means "none" or "at once", and a
# validator sees only the rounded value: `Number(gt=0)` refuses 0.5, and `Number(lte=2)` takes 2.4.
# What helps: `float` alone, or `float | int`; for an `int` that must be one, a converter: `Parameter(converter=…)`.
#
# Seen: int | float: 0.5 -> 0, 1.9 -> 2, 2.5 -> 2, 5e-1 -> 0.5; float | int: 0.5, 1.9, 2.5, 0.5.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cyclopts==5.5.2
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
from typing import Annotated

from cyclopts import App, Parameter, ValidationError
from cyclopts.validators import Number


def parsed(annotation, word):
    def command(*, seconds: annotation = 1):
        return seconds

    app = App()
    app.default(command)
    called = app(["--seconds", word], result_action="return_value", exit_on_error=False, print_error=False)
    return f"{type(called).__name__} {called}"


print("cyclopts", importlib.metadata.version("cyclopts"))
words = ("0.5", "1.9", "2.5", "5e-1")
int_first, float_first = ([parsed(kind, word) for word in words] for kind in (int | float, float | int))
for kind, values in (("int | float", int_first), ("float | int", float_first)):
    print(f"{kind}:", ", ".join(f"--seconds {word} -> {value}" for word, value in zip(words, values)))
assert int | float == float | int
assert int_first == ["int 0", "int 2", "int 2", "float 0.5"], "it is otherwise now"
assert float_first == ["float 0.5", "float 1.9", "float 2.5", "float 0.5"]
assert parsed(int | str, "abc") == "str abc"
assert parsed(int, "1.9") == "int 2", "it is otherwise now"
assert parsed(Annotated[int | float, Parameter(validator=Number(lte=2))], "2.4") == "int 2", "it is otherwise now"
try:
    parsed(Annotated[int | float, Parameter(validator=Number(gt=0))], "0.5")
    raise SystemExit("it is otherwise now: 0.5 is taken")
except ValidationError as error:
    print(f"Number(gt=0): {str(error).strip()}")
PYTHON
