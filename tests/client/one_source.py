"""`client.py` and `groups.py`, made of their asynchronous sources.

python -m tests.client.one_source
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

CLIENT: Final = Path(__file__).parents[2] / "src" / "unlost" / "client"
MADE: Final = {"async_client.py": "client.py", "async_groups.py": "groups.py"}

HEAD: Final = '"""Made of `{}` by `python -m tests.client.one_source`."""\n'
FIXES: Final = "--select=F401,I,UP028"  # what an `async` in the source needs, or forbids

RULES: Final = (
    (r"\bawait |\basync (?=def|for|with)", ""),
    (r"\bunlost\.client\.async_", "unlost.client."),
    (r"\bAsync([A-Z]\w*)", r"\1"),
    (r"\b__a(enter|exit|iter|next)__", r"__\1__"),
    (r"\ba(close|closing|iter|next)\b", r"\1"),
)


def made(source: str) -> str:
    """The text of the file that is made of `source`."""
    _, _, body = (CLIENT / source).read_text().partition('"""\n')
    text = HEAD.format(source) + body
    for pattern, new in RULES:
        text = re.sub(pattern, new, text)
    command = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(CLIENT / MADE[source])]
    for step in (["check", "--fix-only", "--unsafe-fixes", FIXES], ["format"]):
        done = subprocess.run(
            [*command, *step, "--quiet", *name, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text


if __name__ == "__main__":
    for source, target in MADE.items():
        (CLIENT / target).write_text(made(source))
