"""Procrastinate with a task that does nothing; `bench.peers` runs it, among its own packages.

procrastinate_app.py URL prepare | fill COUNT PAYLOAD | work CONCURRENCY
"""
# mypy: ignore-errors

import asyncio
import json
import logging
import sys

from procrastinate import App, PsycopgConnector

logging.disable(logging.WARNING)  # else it would say so of each job

url, what, *rest = sys.argv[1:]
concurrency = int(rest[0]) if what == "work" else 1
# As many connections as jobs, so that none waits for one.
app = App(connector=PsycopgConnector(conninfo=url, min_size=1, max_size=concurrency + 2))


@app.task(name="nothing")
async def nothing(**payload):
    """Succeed at once."""


async def main():
    async with app.open_async():
        if what == "prepare":
            await app.schema_manager.apply_schema_async()
        elif what == "fill":
            payload = json.loads(rest[1])
            for start in range(0, int(rest[0]), 1000):
                many = min(1000, int(rest[0]) - start)
                await nothing.batch_defer_async(*[payload] * many)
        else:
            await app.run_worker_async(concurrency=concurrency)


asyncio.run(main())
