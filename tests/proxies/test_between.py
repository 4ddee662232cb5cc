"""`unlost doctor --url` finds what an nginx changes, holds back and refuses."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.proxies.nginx import BY_DEFAULT, GZIPPED, OWN_NAME, STRIPPED, behind_nginx
from unlost.cli.client.connection import Connection, Service
from unlost.cli.commands.doctor import between
from unlost.cli.commands.doctor.finding import Health

PLAIN = OWN_NAME.replace("listen 443 ssl", "listen 80")
DEAF = GZIPPED.replace("proxy_pass", "proxy_ignore_headers X-Accel-Buffering; proxy_pass")
HOST_LOST = BY_DEFAULT.replace("proxy_pass", "proxy_set_header Host localhost; proxy_pass")
RENAMED = BY_DEFAULT.replace("proxy_pass", "proxy_set_header Host unlost; proxy_pass")
NO_ORIGIN = PLAIN.replace("proxy_pass", 'proxy_set_header Origin ""; proxy_pass')


async def found(folder: Path, servers: str, path: str = "", **given: Any) -> dict[str, Health]:
    async with behind_nginx(folder, servers, **given) as front:
        with Service(Connection(url=front.url + path)) as service:
            checks = await asyncio.to_thread(lambda: list(between.checks(service)))
        assert (await front.http.get(f"{path}/stats", headers={"Host": "localhost"})).json()[
            "accepted"
        ] == 0
    return {one.check: one.health for one in checks if one.health is not Health.OK}


@pytest.mark.parametrize(
    ("servers", "path", "given", "wrong"),
    [
        (PLAIN, "", {}, {}),
        (STRIPPED, "/unlost", {"root_path": "/unlost"}, {"encoded ids": Health.FAIL}),
        (HOST_LOST, "", {}, {"own pages": Health.FAIL, "large bodies": Health.NOTE}),
        (NO_ORIGIN, "", {}, {"other pages": Health.FAIL}),
        (DEAF, "", {}, {"events, gzip": Health.FAIL, "own pages": Health.FAIL,
                        "large bodies": Health.NOTE}),
    ],
    ids=["as documented", "decoded", "host lost", "origin lost", "gzip"],
)  # fmt: skip
async def test_what_lies_between_is_found(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    servers: str,
    path: str,
    given: dict[str, Any],
    wrong: dict[str, Health],
) -> None:
    monkeypatch.setattr("unlost.cli.commands.doctor.between.FIRST_EVENT", 3.0)
    assert await found(tmp_path, servers, path, **given) == wrong


async def test_a_name_that_is_not_known_is_told_as_that(tmp_path: Path) -> None:
    async with behind_nginx(tmp_path, RENAMED) as front:
        with Service(Connection(url=front.url)) as service:
            checks = await asyncio.to_thread(lambda: list(between.checks(service)))
    told = {one.check: one for one in checks}

    assert told["name and key"].health is Health.FAIL
    assert "Host is 'unlost'" in told["name and key"].detail
