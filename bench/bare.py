"""The yardstick: an ASGI app that only reads a task, parses it and answers; nothing is stored."""

from __future__ import annotations

import argparse
from typing import Any

import msgspec
import uvicorn

PARSE = msgspec.json.Decoder().decode


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer 202 with what a new task's answer would hold."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    task = PARSE(body)
    answer = msgspec.json.encode({"taskId": task["taskId"], "state": "queued"})
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    uvicorn.run(
        app, port=parser.parse_args().port, log_level="error", access_log=False, lifespan="off"
    )
