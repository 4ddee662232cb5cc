"""The README's handlers do what the README says."""

from __future__ import annotations

import re
from pathlib import Path

from tests.process.service import service
from unlost.task import SECOND, Outcome, State

README = Path(__file__).parents[2] / "README.md"


async def test_the_readmes_handlers_run_as_written(tmp_path: Path) -> None:
    [code] = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "app.py").write_text(code)
    async with service(tmp_path, handler="app:handlers", backoff_base=0.01) as running:
        await running.submit("good", type="invoice.send", payload='{"customer":7}')
        await running.submit("bad", type="invoice.send", payload="{}")
        good, bad = await running.ended("good"), await running.ended("bad")
    assert (good.state, good.result) == (State.SUCCEEDED, '{"sent":7}')
    first, second = good.attempts
    assert first.outcome is Outcome.FAILED
    assert first.finished_at is not None
    assert second.started_at - first.finished_at >= 2 * SECOND
    assert bad.state is State.DEAD
    assert bad.error is not None
    assert (bad.error.type, bad.error.message) == ("Reject", "no customer")
    assert bad.attempt_count == 1
