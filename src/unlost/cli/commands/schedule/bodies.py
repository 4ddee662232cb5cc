"""A file of schedules: ids and the bodies of their PUTs, in JSON or YAML."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable
from typing import Any, Final

import msgspec
import yaml

from unlost import jsontext
from unlost.jsontext import NotJson
from unlost.schedule.schedule import ID

_DEPTH: Final = jsontext.MAX_DEPTH + 2  # the body around its payload, the mapping around that

# Of plain words YAML makes what JSON has: `on` stays a word, and 02:30 is not 150.
_PLAIN: Final = {
    "null": (r"(?:~|null|)$", ["~", "n", ""]),
    "bool": (r"(?:true|false)$", ["t", "f"]),
    "int": (r"-?(?:0|[1-9][0-9]*)$", [*"-0123456789"]),
    "float": (r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", [*"-0123456789"]),
}


class BadFile(ValueError):
    """The file has no schedules; the message says why."""


class _Loader(yaml.SafeLoader):
    """Reads what JSON could say, and nothing twice."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - the library's own

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise BadFile("has an alias (*name), which JSON has not")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise BadFile(f"has {key.value[:100]} twice in one mapping")
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        found = super().construct_yaml_float(node)
        if not math.isfinite(found):
            raise BadFile(f"has a number that JSON has not, in line {node.start_mark.line + 1}")
        return found


_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)
for _kind, (_pattern, _first) in _PLAIN.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(_pattern), _first)


def read(text: bytes) -> dict[str, bytes]:
    """The bodies by their ids, in the file's order, each as JSON.  Raises BadFile.

    What is JSON keeps its payloads as they are written.
    """
    found = _json(text) if text.lstrip()[:1] == b"{" else _yaml(text)
    for name in found:
        if not ID.fullmatch(name):
            raise BadFile(f"{name[:100]!r} is no id: 1 to 200 of A-Z a-z 0-9 . _ - :")
    return found


def _json(text: bytes) -> dict[str, bytes]:
    try:
        jsontext.parse(text, max_depth=_DEPTH)
        found = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (NotJson, msgspec.DecodeError) as error:
        raise BadFile(f"is not JSON: {error}") from None
    return {name: bytes(body) for name, body in found.items()}


def _yaml(text: bytes) -> dict[str, bytes]:
    try:
        found = yaml.load(text, _Loader)  # noqa: S506 - a safe loader, with less
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadFile(f"is not YAML: {error.problem or error.context}{place}") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, BadFile):
            raise
        raise BadFile("is not YAML: it cannot be read") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise BadFile("must be a mapping of ids to schedules")
    try:
        return {name: msgspec.json.encode(body) for name, body in found.items()}
    except (OverflowError, TypeError):
        raise BadFile("has a value that JSON has not") from None
