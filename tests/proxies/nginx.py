"""A real nginx in front of the app on 127.0.0.1, with the configurations of docs/deploy.md."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.docs.pages import DOCS, blocks
from tests.ports import free_port
from unlost.access.keys import Key
from unlost.api.app import create_app
from unlost.api.server import serve
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.opening import wall_clock
from unlost.settings import Settings

OWN_NAME, BELOW_A_PATH = blocks(DOCS / "deploy.md", "nginx")
UPSTREAM = OWN_NAME.partition("server {\n    listen")[0]
CERTIFICATE = Path(__file__).parents[1] / "webhooks" / "receiver.pem"

STRIPPED = BELOW_A_PATH.replace("proxy_pass http://unlost;", "proxy_pass http://unlost/;")
"""The path is taken away in front, and the rest decoded."""

BY_DEFAULT = """
server {
    listen 80;
    location / { proxy_pass http://127.0.0.1:8080; }
}
"""
"""As somebody writes it who knows no better: HTTP/1.0, buffers, and another Host."""

GZIPPED = BY_DEFAULT.replace(
    "    location", "    gzip on;\n    gzip_types application/json text/event-stream;\n    location"
)

_MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {servers}
}}
"""


@dataclass(frozen=True)
class Front:
    """The service behind nginx, and where nginx is."""

    ledger: MemoryLedger
    port: int
    url: str
    http: httpx.AsyncClient


def program() -> str:
    """nginx, which `make test` installs."""
    places = [os.environ["PATH"], str(Path(sys.executable).parent), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which("nginx", path=os.pathsep.join(places))
    assert found is not None, "nginx is not there: `make test` installs it"
    return found


@asynccontextmanager
async def behind_nginx(
    folder: Path, servers: str, keys: Sequence[Key] = (), /, **given: object
) -> AsyncIterator[Front]:
    """The app with the settings `given`, behind an nginx with these servers.

    It knows `keys` from its start: one that is made later may stay unknown for a second.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    ready, stop = asyncio.Event(), asyncio.Event()
    ledger = MemoryLedger(wall_clock)
    for key in keys:
        await ledger.add_key(key)
    app = create_app(ledger, Settings(**{"auth": "none"} | given))  # type: ignore[arg-type]
    running = asyncio.create_task(serve(app, listener, ready.set, stop))
    await asyncio.wait_for(ready.wait(), 10)
    tls = "443 ssl" in servers
    port = free_port()
    text = (
        (servers if "upstream" in servers else UPSTREAM + servers)
        .replace("127.0.0.1:8080", f"127.0.0.1:{listener.getsockname()[1]}")
        .replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
        .replace("listen 80", f"listen 127.0.0.1:{port}")
        .replace("/etc/ssl/jobs.example.com.pem", str(CERTIFICATE))
    )
    try:
        async with started(folder, text, port):
            url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
            async with httpx.AsyncClient(
                base_url=url,
                verify=False,
                trust_env=False,
                timeout=20,
                # nginx ends a connection on which it has answered before the end of a body.
                limits=httpx.Limits(max_keepalive_connections=0),
            ) as http:
                yield Front(ledger, port, url, http)
    finally:
        stop.set()
        await asyncio.wait_for(running, 10)


@asynccontextmanager
async def started(folder: Path, servers: str, port: int) -> AsyncIterator[None]:
    """An nginx that listens on the port."""
    config = folder / "nginx.conf"
    config.write_text(_MAIN.format(folder=folder, servers=servers))
    process = await asyncio.create_subprocess_exec(
        program(), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")
    )
    try:
        async with asyncio.timeout(20):
            while not await listens(port):
                assert process.returncode is None, (folder / "error.log").read_text()
                await asyncio.sleep(0.02)
        yield
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 10)


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
