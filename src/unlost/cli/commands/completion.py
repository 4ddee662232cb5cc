"""`unlost completion`: commands, flags and values by the Tab key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cyclopts import Parameter

from unlost.cli.app import app
from unlost.cli.failures import WrongUsage
from unlost.cli.options import switch
from unlost.cli.show.output import raw

Shell = Literal["bash", "zsh", "fish"]


def completion(
    shell: Annotated[Shell, Parameter(name="SHELL", help="bash, zsh or fish")],
    /,
    *,
    install: Annotated[
        bool, switch("--install", "write it where the shell finds it, and tell where")
    ] = False,
    json: Annotated[bool, switch("--json", "with --install: print where as JSON")] = False,
) -> None:
    """Print the script by which a shell completes commands, flags and values.

    For this shell alone: eval "$(unlost completion bash)". With --install it is written below the
    home folder, and for bash and zsh a line in ~/.bashrc or ~/.zshrc reads it. Fingerprints and
    states are completed, too: for that it asks the service.
    """
    if not install:
        if json:
            raise WrongUsage("--json goes with --install: the script is no JSON")
        print(app.generate_completion(shell=shell))
        return
    path: Path = app.install_completion(shell=shell)
    if json:
        raw(msgspec.json.encode({"shell": shell, "path": str(path)}))
    else:
        print(f"{path} completes unlost in every {shell} that is started from now on")
