#!/usr/bin/env bash
# httpx 0.28.1 with httpcore 1.0.9 and anyio 4.16.0, Python 3.11 and later: what `pip install httpx` brings today.
#
# What happens: httpcore asks which event loop runs by `import sniffio` within a `try`, each time it makes a lock or an
# event, and goes on with asyncio where that fails.  anyio no longer depends on sniffio, so in a fresh environment it always
# fails; and Python keeps no failed import: each time all of sys.path is searched.  An AsyncClient does so several times
# for every request, also over a connection that is kept alive.
#
# What one would guess: that which event loop runs is found out once, or by something that is there; and that a package
# which is looked for at each request is depended on.
# Whom it hurts: whoever makes many quick calls with `httpx.AsyncClient`: the searches took a tenth to a third of a call's
# processor time on one machine, more the longer sys.path is, and appear nowhere but in a profile, within the import system.
# What helps: to depend on sniffio oneself, though nothing seems to use it.  (The blocking client does not ask.)
#
# Seen: 4 searches that fail for a request on a connection that is kept; with sniffio 1.3.1 installed none.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
pip "httpx==0.28.1" "httpcore==1.0.9" "anyio==4.16.0"
cat >"$folder/finding.py" <<'PYTHON'
import asyncio
import sys

import httpx

CALLS = 20
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Searches:
    """Stands before all that find modules, and finds none: it is asked whenever one is searched for."""

    def __init__(self):
        self.count = 0

    def find_spec(self, name, path=None, target=None):
        self.count += name == "sniffio"


class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(ANSWER)


async def counted():
    searches = Searches()
    async with await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(f"http://127.0.0.1:{port}/")
            sys.meta_path.insert(0, searches)
            for _ in range(CALLS):
                await client.get(f"http://127.0.0.1:{port}/")
            sys.meta_path.remove(searches)
    return searches.count / CALLS


print(f"searches a request: {asyncio.run(counted()):g}")
PYTHON
without=$("$folder/venv/bin/python" "$folder/finding.py")
pip "sniffio==1.3.1"
with=$("$folder/venv/bin/python" "$folder/finding.py")
printf 'without sniffio: %s\nwith sniffio: %s\n' "$without" "$with"
[ "$without" = "searches a request: 4" ] && [ "$with" = "searches a request: 0" ] ||
  { echo "it is otherwise now" >&2; exit 1; }
