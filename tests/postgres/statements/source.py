"""The statements that the PostgreSQL home's source has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import unlost.ledger.postgres as home

VERB: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\s")

ELSEWHERE: Final = {
    "preparing.STAMP",  # where a database is made or migrated
    "connection.connecting._mind_poolers",  # where a connection is made
    "attempts.transacting.MARK",  # in a handler's own transaction; they read no table
    "attempts.transacting.MARKED",
}
"""What no step sends."""

HOLE: Final = re.compile(r"\\{\w*\\}")
"""Where something is put in, in an escaped text."""


def statements() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Each piece of source text that begins like a statement, and a pattern that is found in the
    statements that are made of it."""
    folder = Path(home.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        where = str(path.relative_to(folder)).removesuffix(".py").replace("/", ".")
        for name, piece in _pieces(ast.parse(path.read_text())):
            if VERB.match(piece) and f"{where}.{name}" not in ELSEWHERE:
                yield f"{where}.{name}", re.compile(HOLE.sub(".*", re.escape(piece)), re.DOTALL)


def _pieces(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The texts of a module, with the name of what they are in."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            name = ast.unparse(target)
        else:
            name = getattr(node, "name", "")
        within = {
            id(part) for joined in ast.walk(node) if isinstance(joined, ast.JoinedStr)
            for part in ast.walk(joined) if part is not joined
        }  # fmt: skip
        for part in ast.walk(node):
            if id(part) not in within:
                yield name, _said(part)


def _said(piece: ast.AST) -> str:
    """What is said literally, with `{}` for the rest."""
    if isinstance(piece, ast.JoinedStr):
        return "".join(
            _said(part) if isinstance(part, ast.Constant) else "{}" for part in piece.values
        )
    return piece.value if isinstance(piece, ast.Constant) and isinstance(piece.value, str) else ""
