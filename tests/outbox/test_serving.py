"""`unlost serve --outbox`: the relay is one of the service's processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx

from tests.outbox.places import Place
from tests.process.service import children, launch, service, until


async def test_a_service_relays_an_outbox_and_tells_of_it(place: Place, tmp_path: Path) -> None:
    place.put("[]")
    async with service(tmp_path, "serve", outbox=place.url, failure_rate=0) as running:
        first = place.put("{}")
        await running.ended(f"outbox:{first}")
        [relay] = [pid for pid, line in children(running.process.pid) if line.endswith(" outbox")]
        os.kill(relay, signal.SIGKILL)
        second = place.put("{}")
        await running.ended(f"outbox:{second}")
        await until(lambda: place.left() == 0)
        url = running.ready.strip().removeprefix("unlost is listening on ")
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            metrics = (await client.get("/metrics")).text
        assert 'unlost_outbox_rows{state="rejected"} 1\n' in metrics
        assert 'unlost_outbox_rows{state="waiting"} 0\n' in metrics
        assert "unlost_outbox_oldest_seconds 0" in metrics
        assert await running.stop() == 0
    assert "s3cr3t" not in running.stdout()


def test_a_service_without_its_outbox_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    process = launch(tmp_path, "serve", outbox=f"sqlite:///{tmp_path}/empty.db")
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "unlost outbox create" in said.splitlines()[-1]
