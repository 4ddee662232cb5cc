#!/usr/bin/env bash
# anyio 4.16.0 with uvloop 0.23.0, Python 3.11 and later; below httpx 0.28.1 with httpcore 1.0.9 as well.
#
# What happens: anyio's `stream.extra(attribute, default)` of a connection that the other side has reset gives the default on
# asyncio's own event loop, and raises AttributeError on uvloop.  There a transport that has ended has no socket any more
# (`get_extra_info("socket")` is None), where asyncio's still has a closed one; anyio asks it for its peer before it looks up
# the attribute, and expects OSError alone.  httpcore asks in this way whether a connection is still good, so an
# httpx.AsyncClient raises AttributeError out of a call now and then, where it should be httpx.ConnectError or ReadError.
#
# What one would guess: that an ended connection is told by anyio's or httpx's own errors, on each event loop, and that a
# default is given for what is not there.
# Whom it hurts: whoever catches httpx.TransportError to try a call again, and runs on uvloop: calls fail for good just while
# a server or a proxy restarts and resets connections.  What helps: to catch AttributeError around the call as well.
#
# Seen: asyncio "none", uvloop "AttributeError: 'NoneType' object has no attribute 'getpeername'".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "anyio==4.16.0" "uvloop==0.23.0"
cat >"$folder/finding.py" <<'PYTHON'
import asyncio
import socket
import struct

import anyio
import uvloop
from anyio.abc import SocketAttribute


def reset(reader, writer):
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


async def peer_of_a_connection_that_was_reset():
    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        stream = await anyio.connect_tcp(*server.sockets[0].getsockname())
        try:
            await stream.receive()
        except anyio.BrokenResourceError:
            pass  # so anyio knows that it has ended
        try:
            return stream.extra(SocketAttribute.remote_address, "none")
        except Exception as error:
            return f"{type(error).__name__}: {error}"


of_asyncio = asyncio.run(peer_of_a_connection_that_was_reset())
of_uvloop = uvloop.run(peer_of_a_connection_that_was_reset())
print(f"asyncio: {of_asyncio}\nuvloop: {of_uvloop}")
assert of_asyncio == "none"
assert of_uvloop == "AttributeError: 'NoneType' object has no attribute 'getpeername'"
PYTHON
"$folder/venv/bin/python" "$folder/finding.py"
