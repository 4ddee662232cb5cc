"""What each peer in Python is asked to do; `bench.peers` runs it, among the peer's own packages.

PEER_app.py URL prepare
PEER_app.py URL submit COUNT PAYLOAD       prints the seconds that so many calls take, in turn
PEER_app.py URL bulk COUNT PAYLOAD         prints the seconds that so many tasks take, 1,000 a call
PEER_app.py URL pace COUNT RATE PAYLOAD    submits at a steady rate; each payload says when
PEER_app.py URL work                       until SIGTERM, and tells what it runs (reporting.py)
PEER_app.py URL serve PORT                 an ASGI app whose route makes the call

A peer is a class with `prepare`, `submit`, `submit_many` and `work`; all but `prepare` within
`opened(what)`.
"""
# mypy: ignore-errors
# ruff: noqa: PLC0415  only the one that serves needs a server

import asyncio
import json
import os
import sys
import time

import uvloop
from reporting import Reporter

BATCH = 1000
IN_FLIGHT = 4
WARM = 50


def reporter():
    """Of this process."""
    return Reporter(os.environ["RAN"])


async def submit(peer, count, payload):
    """Seconds for so many calls, one after the other, once it is warm."""
    for _ in range(WARM):
        await peer.submit(payload)
    began = time.perf_counter()
    for _ in range(count):
        await peer.submit(payload)
    return time.perf_counter() - began


async def bulk(peer, count, payload):
    """Seconds for so many tasks, some calls in flight."""
    sizes = iter([min(BATCH, count - start) for start in range(0, count, BATCH)])

    async def caller():
        for size in sizes:
            await peer.submit_many([payload] * size)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return time.perf_counter() - began


async def pace(peer, count, rate, payload):
    """Submit at a steady rate."""
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0, began + number / rate - time.perf_counter()))
        await peer.submit(payload | {"at": time.time()})


async def serve(peer, port):
    """The bare ASGI app (`bench.bare`), with the peer's call in its route."""
    import msgspec
    import uvicorn

    parse = msgspec.json.Decoder().decode

    async def app(scope, receive, send):
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        task = parse(body)
        await peer.submit(task["payload"])
        answer = msgspec.json.encode({"taskId": task["taskId"], "state": "queued"})
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    quiet = {"log_level": "error", "access_log": False, "lifespan": "off"}
    await uvicorn.Server(uvicorn.Config(app, port=port, **quiet)).serve()


async def act(kind):
    """Do what is asked."""
    url, what, *rest = sys.argv[1:]
    peer = kind(url)
    if what == "prepare":
        await peer.prepare()
        return
    async with peer.opened(what):
        if what == "work":
            await peer.work()
        elif what == "serve":
            await serve(peer, int(rest[0]))
        elif what == "pace":
            await pace(peer, int(rest[0]), int(rest[1]), json.loads(rest[2]))
        else:
            timed = {"submit": submit, "bulk": bulk}[what]
            print(await timed(peer, int(rest[0]), json.loads(rest[1])))


def main(kind):
    """Run a peer."""
    uvloop.run(act(kind))
