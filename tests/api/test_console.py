"""The console's files as they are served; what they do in a browser is in tests/console."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.api.checks import problem
from unlost.api.calls.console import FOLDER, MEDIA_TYPES

FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
REFERENCE = re.compile(r'(?:from|src=|href=|import)\s*\(?"([^"]+)"')


@pytest.mark.parametrize("name", FILES)
async def test_each_file_is_served_whole_with_its_type(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.get(f"/console/{name}")

    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == MEDIA_TYPES[Path(name).suffix]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_the_page_may_run_only_its_own_files_and_make_no_markup_of_text(
    api: httpx.AsyncClient,
) -> None:
    answer = await api.get("/")

    policy = dict(
        part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";")
    )
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in str(policy)
    assert not re.search(r"<script>|\son[a-z]+=|style=|<style", answer.text)


async def test_a_file_that_has_not_changed_is_not_sent_again(api: httpx.AsyncClient) -> None:
    first = await api.get("/console/app.js")

    again = await api.get("/console/app.js", headers={"If-None-Match": first.headers["etag"]})
    other = await api.get("/console/app.js", headers={"If-None-Match": '"another"'})

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/console/nothing.js", "/console/..%2Fapi%2Fapp.py", "/console/parts/..%2Fapp.js",
     "/console/parts", "/console/", "/console/%2Fetc%2Fpasswd"],
)  # fmt: skip
async def test_what_is_no_file_of_the_console_is_404(api: httpx.AsyncClient, path: str) -> None:
    problem(await api.get(path), 404)


def test_every_file_leads_only_to_files_that_are_there_and_to_no_other_host() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text()
        for target in REFERENCE.findall(text):
            if target.startswith("."):
                assert (FOLDER / name).parent.joinpath(target).resolve().is_file(), (name, target)
            elif target.startswith("console/"):
                assert FOLDER.joinpath(target.removeprefix("console/")).is_file(), (name, target)
            assert not target.startswith("/"), (name, target)
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), name


def test_no_file_makes_markup_out_of_text() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text()
        assert not re.search(
            r"\b(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(", text
        )


def test_each_file_is_short_enough_to_read() -> None:
    assert all(len((FOLDER / name).read_text().splitlines()) < 300 for name in FILES)
