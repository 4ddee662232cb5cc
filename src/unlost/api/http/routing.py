"""Finding the endpoint of a call.

A path is matched as it was sent, one segment at a time, each decoded once, so that a task id may
hold a slash, a question mark or the name of another route.  Where a path has several routes the
method decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from starlette.types import ASGIApp, Scope

from unlost.api.openapi.operation import Operation
from unlost.api.problems import NotAllowed, NotFound, UnclearPath
from unlost.api.request.encoding import decode
from unlost.asked import names


class Route(NamedTuple):
    """An operation and what carries it out."""

    operation: Operation
    endpoint: ASGIApp


class Router:
    """The routes of the app, to be asked once per call.

    Where paths come `decoded` (see `names`), one that may not be what was sent leads nowhere.
    With `root`, the path below which a proxy shows the service, paths lead to the same with and
    without it in front: some proxies take it away, some do not.
    """

    def __init__(self, routes: Sequence[Route], *, decoded: bool = False, root: str = "") -> None:
        self.routes = routes
        self._decoded = decoded
        self._root = root.encode()
        self._fixed: dict[tuple[str, bytes], Route] = {}
        self._by_length: dict[int, list[tuple[list[str], Route]]] = {}
        for route in routes:
            pattern = route.operation.path.split("/")
            self._by_length.setdefault(len(pattern), []).append((pattern, route))
            if "{" not in route.operation.path:
                key = (route.operation.method, route.operation.path.encode())
                self._fixed[key] = route

    def find(self, scope: Scope) -> Route:
        """Where this call leads; its path's parameters go into the scope.

        Raises UnclearPath, NotFound and NotAllowed.
        """
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        raw = self._below_root(scope.get("raw_path") or scope["path"].encode())
        if self._decoded and any(escape in raw for escape in names.UNCLEAR):
            raise UnclearPath(names.REACHED_OTHERWISE)
        found = self._fixed.get((method, raw))
        if found is not None:
            return found
        matches = self._matching(raw)
        if not matches:
            raise NotFound("nothing is here")
        if method not in matches:
            allowed = {*matches} | ({"HEAD"} if "GET" in matches else set())
            raise NotAllowed(
                "the method is not allowed here", headers={"Allow": ", ".join(sorted(allowed))}
            )
        found, scope["path_params"] = matches[method]
        return found

    def _below_root(self, raw: bytes) -> bytes:
        root = self._root
        if not root or not raw.startswith(root) or raw[len(root) :][:1] not in (b"", b"/"):
            return raw
        return raw[len(root) :] or b"/"

    def _matching(self, raw: bytes) -> dict[str, tuple[Route, Mapping[str, str]]]:
        """What each method of this path leads to; a fixed segment beats a parameter."""
        sent = [decode(segment) for segment in raw.split(b"/")]
        best: dict[str, tuple[Route, Mapping[str, str]]] = {}
        for pattern, route in self._by_length.get(len(sent), ()):
            parameters = _match(pattern, sent)
            if parameters is None:
                continue
            known = best.get(route.operation.method)
            if known is None or len(parameters) < len(known[1]):
                best[route.operation.method] = (route, parameters)
        return best


def _match(pattern: list[str], sent: list[str | None]) -> dict[str, str] | None:
    parameters = {}
    for expected, given in zip(pattern, sent, strict=True):
        if given is None:
            return None
        if expected.startswith("{"):
            if not given:
                return None
            parameters[expected[1:-1]] = given
        elif expected != given:
            return None
    return parameters
