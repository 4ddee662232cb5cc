"""A look at the user's handlers from a process of its own, whatever their module does."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec

from unlost.handlers import HandlerNotLoaded, load
from unlost.policy import Limits
from unlost.settings import Settings
from unlost.telemetry.logs import write_all


class Seen(msgspec.Struct, frozen=True):
    """What was found: the types that are served (None: every one), or why nothing is."""

    types: dict[str, Limits] | None = None
    fault: str | None = None


def look(
    spec: str, output: int = subprocess.DEVNULL, within: float = Settings.start_timeout
) -> dict[str, Limits] | None:
    """The types that the handlers named by `spec` serve, with their own limits; None is every type.

    What is printed meanwhile goes to the descriptor `output`.  Raises HandlerNotLoaded, also where
    the import takes longer than `within` seconds.
    """
    outlet, inlet = os.pipe()
    with os.fdopen(outlet, "rb") as answer:
        try:
            process = subprocess.Popen(  # noqa: S603  our own interpreter
                [sys.executable, "-P", "-m", "unlost.prove.look", spec, str(inlet)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[inlet],
            )
        finally:
            os.close(inlet)
        try:
            process.wait(within)
        except subprocess.TimeoutExpired:
            raise HandlerNotLoaded(f"{spec} was not imported within {within:g} s") from None
        finally:
            process.kill()
            process.wait()
        said = answer.readline()
    if not said:
        raise HandlerNotLoaded(f"importing {spec} ended its process")
    seen = msgspec.json.decode(said, type=Seen)
    if seen.fault is not None:
        raise HandlerNotLoaded(seen.fault)
    return seen.types


def main(spec: str, inlet: int) -> None:
    """Say what is found, and end without waiting for what the module has started."""
    try:
        types = load(spec).types
        seen = Seen(None if types is None else dict(types))
    except HandlerNotLoaded as error:
        seen = Seen(fault=str(error))
    write_all(inlet, msgspec.json.encode(seen) + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
