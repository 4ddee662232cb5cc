#!/usr/bin/env bash
# cyclopts 5.5.2, Python 3.11.
#
# What happens: a command is registered by its import path, so that its module is imported only when it is used.  A
# parent's `--help` then has no description for it, unless one is given with `help=` at the registration.  That one line
# then also stands in place of the command's own page: its docstring, or the `help=` that its own `App` was given, with all
# paragraphs, is told nowhere any more.
#
# What one would guess: that the line is for the parent's list, where nothing else can be known without an import, and
# that `it --help`, which imports the command anyway, still shows what its author wrote there.
# Whom it hurts: programs that load commands lazily to start fast and add `help=` to have descriptions in the list: the
# long help of each such command goes, without an error, and no test of the command itself notices.
# What helps: to give the whole text at the registration; the list shows its first paragraph, the page all of it.
#
# Seen: without `help=` "Start the service." and the second paragraph; with it only "Short line." on both pages.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cyclopts==5.5.2
cat >"$folder/commands.py" <<'PYTHON'
from cyclopts import App


def serve(port: int = 8000):
    """Start the service.

    A second paragraph: what it needs, and how it is stopped.
    """


group = App(name="group", help="Commands about groups.\n\nA second paragraph: which groups there are.")


@group.command
def list_all():
    """List them."""
PYTHON
cat >"$folder/finding.py" <<'PYTHON'
import contextlib
import importlib.metadata
import io

from cyclopts import App


def page(words, **registered):
    app = App(name="program", version="1")
    app.command("commands:serve", name="serve", **registered)
    app.command("commands:group", name="group", **registered)
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        app(words)
    return said.getvalue()


print("cyclopts", importlib.metadata.version("cyclopts"))
for name in ("serve", "group"):
    plain, described = page([name, "--help"]), page([name, "--help"], help="Short line.")
    print(f"--- {name} --help, registered without help=\n{plain}--- and with help='Short line.'\n{described}")
    assert "A second paragraph" in plain and "Short line." not in plain, "it is otherwise now"
    assert "A second paragraph" not in described and "Short line." in described, "it is otherwise now"
assert "Short line." in page(["--help"], help="Short line.")
PYTHON
cd "$folder"
venv/bin/python finding.py
