"""Celery, Huey and taskiq with a task that does nothing, among their own packages.

python_peers.py PEER submit COUNT SECONDS PAYLOAD   says the seconds of each call as JSON
python_peers.py PEER work                           until it is ended

So many are submitted, or as many as can be in so many seconds.
Redis is at $REDIS.  The settings are those that the peers' own pages advise for short tasks that
must not be lost: Celery acknowledges late and prefetches many, its workers without gossip, mingle
and heartbeats; taskiq's broker is the one on streams, which acknowledges; Huey has no
acknowledgements at all.
"""
# mypy: ignore-errors
# ruff: noqa: PLC0415  a process imports its own peer alone

import asyncio
import json
import os
import sys
import time
from pathlib import Path

HERE = str(Path(__file__).parent)
REDIS = os.environ["REDIS"]
peer, what, *rest = sys.argv[1:] if __name__ == "__main__" else ("taskiq", "import")


def turns(count, seconds):
    """When each of so many calls begins, until the time is over."""
    until = time.perf_counter() + seconds
    for _ in range(count):
        began = time.perf_counter()
        if began >= until:
            return
        yield began


def timed(call, payload, count, seconds):
    """Call so often, one after the other."""
    taken = []
    for began in turns(count, seconds):
        call(payload)
        taken.append(time.perf_counter() - began)
    return taken


def celery():
    from celery import Celery

    app = Celery("peer", broker=REDIS)
    app.conf.update(
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=128,
        broker_connection_retry_on_startup=True,
    )

    @app.task(name="nothing")
    def nothing(payload):
        """Succeed at once."""

    if what == "work":
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        app.worker_main(["worker", "--loglevel=ERROR", "--concurrency=2", *quiet])
    return nothing.delay


def huey():
    import logging

    from huey import RedisHuey

    queue = RedisHuey("peer", url=REDIS, results=False)

    @queue.task()
    def nothing(payload):
        """Succeed at once."""

    if what == "work":
        logging.disable(logging.WARNING)
        queue.create_consumer(workers=2, worker_type="process", periodic=False).run()
    return nothing


def taskiq():
    from taskiq_redis import RedisStreamBroker

    broker = RedisStreamBroker(REDIS, queue_name="taskiq")

    @broker.task(task_name="nothing")
    async def nothing(payload: dict) -> None:
        """Succeed at once."""

    return broker, nothing


async def submit_to_taskiq(payload, count, seconds):
    """The same as `timed`."""
    broker, nothing = taskiq()
    await broker.startup()
    taken = []
    for began in turns(count, seconds):
        await nothing.kiq(payload)
        taken.append(time.perf_counter() - began)
    await broker.shutdown()
    return taken


def main():
    """Do what is asked."""
    if peer == "taskiq" and what == "work":
        from taskiq.__main__ import main as taskiq_main

        sys.argv = ["taskiq", "worker", "python_peers:broker", "--workers", "2",
                    "--log-level", "ERROR", "--max-async-tasks", "100"]  # fmt: skip
        os.environ["PYTHONPATH"] += os.pathsep + HERE
        sys.path.insert(0, HERE)
        taskiq_main()
        return
    call = {"celery": celery, "huey": huey, "taskiq": None}[peer]
    if what == "work":
        call()
        return
    count, seconds, payload = int(rest[0]), float(rest[1]), json.loads(rest[2])
    if peer == "taskiq":
        taken = asyncio.run(submit_to_taskiq(payload, count, seconds))
    else:
        taken = timed(call(), payload, count, seconds)
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
else:  # taskiq's workers import it
    broker, nothing = taskiq()
