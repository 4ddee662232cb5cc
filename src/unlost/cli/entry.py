"""Where a command begins and ends: its exit status, and the one line that says why it stopped."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from io import TextIOWrapper

from unlost.cli.failures import Failed, WrongUsage

DONE, FAILED, MISUSED, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141


def main() -> int:
    """Run the command that `sys.argv` names and return its exit status.

    0 done, 1 failed, 2 wrong usage or setting, 130 interrupted, 141 the output's reader went away.
    """
    _open_streams()
    try:
        status = _run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        status = INTERRUPTED
    except BrokenPipeError:
        status = NO_READER
    except OSError as error:
        status = _stop(_cause(error), FAILED)
    _flush()
    return status


def _open_streams() -> None:
    """Make sure that there is somewhere to print, and that any text can be printed.

    A command that was started with stdout or stderr closed must not open its ledger in their
    place.
    """
    while (nowhere := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(nowhere)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _cause(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{error.filename}: {reason}" if error.filename else reason


def _run(arguments: Sequence[str]) -> int:
    try:
        service = _service(arguments)
        return _called(arguments) if service is None else service()
    except WrongUsage as error:
        return _stop(str(error), MISUSED)
    except Failed as error:
        return _stop(str(error), FAILED)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001  the process's edge: a bug is one line, too
        return _bug(error)


def _service(arguments: Sequence[str]) -> Callable[[], int] | None:
    """The service that is to be run, where that is all that the arguments say."""
    if arguments[:1] not in (["serve"], ["api"], ["worker"]):
        return None
    from unlost.cli.services import plainly

    return plainly(arguments[0], arguments[1:])


def _called(arguments: Sequence[str]) -> int:
    """Call the command that the arguments name; its exit status.  Raises WrongUsage, and what the
    command raises."""
    from cyclopts import CycloptsError

    from unlost.cli.app import app, listing

    tree = app if any(word in app for word in arguments if word[:1] != "-") else listing()
    try:
        result = tree(
            arguments,
            print_error=False,
            exit_on_error=False,
            verbose=False,
            result_action="return_value",
        )
    except CycloptsError as error:
        raise WrongUsage(_wording(error, arguments)) from error
    return result if isinstance(result, int) else DONE


def _wording(error: Exception, arguments: Sequence[str]) -> str:
    from cyclopts import UnknownOptionError, UnusedCliTokensError

    if isinstance(error, UnknownOptionError) and "--" in arguments:
        word = error.token.keyword or error.token.value
        behind = arguments[arguments.index("--") + 1 :]
        if word in [one.partition("=")[0] for one in behind]:
            return f"unexpected argument: {word} (nothing after -- is a flag)"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        word = error.unused_tokens[0]
        return f"unexpected argument: {word}{_meant(word, error.command_chain or ())}"
    return str(error)


def _meant(word: str, chain: Sequence[str]) -> str:
    """Which command below this one may have been meant, as the end of a message."""
    from difflib import get_close_matches

    from unlost.cli.app import app

    place = app
    for name in chain:
        place = place[name]
    known = [name for name in place if not name.startswith("-")]
    close = get_close_matches(word, known, 1)
    return f'. Did you mean "{close[0]}"?' if close else ""


def _bug(error: Exception) -> int:
    if os.environ.get("UNLOST_DEBUG"):
        traceback.print_exception(error)
    hint = "a bug in unlost; UNLOST_DEBUG=1 shows where"
    return _stop(f"{type(error).__name__}: {error} ({hint})", FAILED)


def _stop(message: str, status: int) -> int:
    from unlost.cli.text import one_line

    print(f"unlost: {one_line(message)}", file=sys.stderr)
    return status


def _flush() -> None:
    """Write what is still buffered; what cannot be written is given nowhere to go, so that the
    interpreter does not complain of it at its end."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
