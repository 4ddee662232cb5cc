"""The pages: this description, and the web console."""

from __future__ import annotations

from typing import Final

from unlost.api.openapi.operation import HTML, Answer, Operation

DOCUMENT = Operation(
    "GET",
    "/openapi.json",
    "openapi",
    "This document.",
    {200: Answer("OpenAPI 3.1.")},
    scope=None,
)
DOCS = Operation(
    "GET",
    "/docs",
    "docs",
    "This document, to read.",
    {200: Answer("A page.", media_type=HTML)},
    scope=None,
)
HOME = Operation(
    "GET",
    "/",
    "home",
    "The web console.",
    {200: Answer("A page.", media_type=HTML)},
    scope=None,  # it holds no data: the console asks for the key, and brings it with each call
)
PAGES: Final = (DOCUMENT, DOCS, HOME)
CONSOLE_FILES: Final = tuple(
    Operation("GET", path, name, "A file of the console.", {200: Answer("It.")}, scope=None)
    for path, name in (
        ("/console/{file}", "consoleFile"),
        ("/console/{folder}/{file}", "consoleFileBelow"),
    )
)
"""They are no part of the API: the OpenAPI document leaves them out."""
