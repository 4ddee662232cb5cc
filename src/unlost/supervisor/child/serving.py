"""The child that serves the API."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import msgspec

from unlost.api.app import create_app
from unlost.api.frame import on_ledger
from unlost.api.http.connection.connections import Connections
from unlost.api.server import serve
from unlost.ledger.opening import open_ledger
from unlost.supervisor.brief import OPENING, READY, Brief, Ready
from unlost.supervisor.child.ending import TO_SEND
from unlost.supervisor.child.open_files import make_room
from unlost.supervisor.child.voice import Voice, pulsing
from unlost.tracing import open_tracing


async def serve_api(brief: Brief, voice: Voice) -> None:
    """Serve the API on the socket that the supervisor listens on, until a signal ends it."""
    possible = make_room(brief.settings.max_connections)
    settings = replace(brief.settings, max_connections=possible)
    tracing = open_tracing("api", on=settings.otel)
    voice.doing(OPENING)
    ledger = await open_ledger(settings.ledger, same=brief.ledger_file)
    voice.doing("starting its server")
    ready = msgspec.json.encode(Ready())
    pulse = asyncio.create_task(pulsing(voice, []))
    try:
        app = create_app(ledger, settings, tracing=tracing, frame=on_ledger(settings.ledger))
        listener = socket.socket(fileno=brief.listener)
        await serve(
            app,
            listener,
            lambda: voice.say(READY + ready),
            keep_alive=settings.keep_alive,
            connections=Connections(possible, root_path=settings.root_path),
        )
    finally:
        pulse.cancel()
        await ledger.close()
        tracing.close(TO_SEND)
