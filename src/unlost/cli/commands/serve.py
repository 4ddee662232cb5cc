"""The commands `unlost serve`, `api` and `worker` as the library of the command line has them:
their help, and what is wrong with their flags.  What they do is in `services`.

Their flags are made from `settings.Settings`, so that no setting is written twice.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Annotated, Any, get_type_hints

from cyclopts import Parameter

from unlost.cli import services
from unlost.settings import PLATFORM, Settings, flag, variable

_SERVE = """API, workers, monitor and console in one process tree.

Listens on http://127.0.0.1:8080 and keeps its ledger in ./unlost.db unless told otherwise;
the line `unlost is listening on …` on stderr says that it is ready. SIGTERM or Ctrl-C drains
and exits 0. Each flag is also an environment variable; a flag beats it.
"""

_API = """The API and the console alone, for several machines on one ledger.

Takes the same settings as `unlost serve`.
"""

_WORKER = """Workers alone, with the monitor and the sweep, for several machines on one ledger.

Takes the same settings as `unlost serve`. With --url it needs no ledger: it runs the attempts
of the service there by its API, with a key of the scope work (and submit, where handlers
submit tasks). Then the monitor and the sweep are that service's.
"""

_ELSEWHERE = {
    "url": "the service whose attempts are run, by its API; no ledger is opened then",
    "api_key": "the service's key for --url; @FILE reads it [env var: UNLOST_API_KEY]",
    "types": "with --url, the types to serve, with commas; else all named ones",
}


def _elsewhere_parameters() -> list[inspect.Parameter]:
    """The flags of workers that need no ledger."""
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _given_as(services.ELSEWHERE[name]) | None,
                Parameter(name=flag(name), help=meaning, metavar="STR", negative=()),
            ],
        )
        for name, meaning in _ELSEWHERE.items()
    ]


def _command(name: str, told: str, more: Sequence[inspect.Parameter] = ()) -> Callable[..., int]:
    """A command with one flag per setting, and `more` of its own."""

    def run(**given: str | bool | list[str] | None) -> int:
        return services.run(name, given)

    run.__name__ = name
    run.__doc__ = told
    run.__annotations__ = {}
    run.__signature__ = inspect.Signature([*setting_parameters(), *more])  # type: ignore[attr-defined]
    return run


def setting_parameters() -> list[inspect.Parameter]:
    """A flag for every setting, as the parameters of a command."""
    hints = get_type_hints(Settings)
    kinds = services.setting_kinds()
    return [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                _given_as(kinds[item.name]) | None, _documented(item, hints[item.name])
            ],
        )
        for item in fields(Settings)
    ]


def _given_as(kind: type) -> Any:
    """The type of a flag's value on the command line."""
    return list[str] if kind is list else kind


def _documented(item: Field[Any], hint: Any) -> Parameter:
    """The flag of one setting.  Its value stays text: `resolve` alone decides what is right."""
    variables = ", ".join(filter(None, (variable(item.name), PLATFORM.get(item.name))))
    default = "" if item.default in (None, "", ()) else f" [default: {item.default}]"
    metavar = (
        "STR" if hint in (str, tuple[str, ...]) else "INT" if hint in (int, int | None) else "FLOAT"
    )
    return Parameter(
        name=flag(item.name),
        help=f"{item.metadata['meaning']} [env var: {variables}]{default}",
        metavar=None if hint is bool else metavar,
        negative=(),
        allow_leading_hyphen=True,
    )


serve = _command("serve", _SERVE)
api = _command("api", _API)
worker = _command("worker", _WORKER, _elsewhere_parameters())
