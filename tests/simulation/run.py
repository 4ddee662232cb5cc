"""One run: from a scenario to its history, and what the checker says of it."""

from __future__ import annotations

import logging

import msgspec

from tests.simulation.adversary import Suspended
from tests.simulation.cast import Cast
from tests.simulation.checker import WORKS, Broken, check
from tests.simulation.history import History
from tests.simulation.process import ActorFailed
from tests.simulation.scenario import Scenario
from tests.simulation.stage import Parts, Stage
from tests.simulation.world import NothingLeft, Spinning

SHIPPED = Parts()


class Run(msgspec.Struct, frozen=True):
    """What a scenario led to, and in how many seconds of the world."""

    scenario: Scenario
    history: History
    broken: list[Broken]
    seconds: float


def run(scenario: Scenario, parts: Parts = SHIPPED) -> Run:
    """Play a scenario and check its history."""
    quiet = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    stage = Stage(scenario, parts)
    settled, broken = True, []
    try:
        Cast(stage).enter()
        settled = stage.world.run(scenario.window + scenario.bound)
    except (NothingLeft, Spinning, ActorFailed, Suspended) as error:
        broken = [Broken(WORKS, f"{type(error).__name__}: {error}")]
    finally:
        faults = [fault for process in stage.processes for fault in process.dispose()]
        logging.disable(quiet)
    broken += [Broken(WORKS, fault) for fault in faults]
    ids = {one.submission.task_id for one in scenario.submissions}
    ids |= {name for one in ids for name, _ in stage.script.follows(one)}
    final = stage.referee.final(sorted(ids))
    if not broken:
        broken = check(scenario, stage.history.events, final, settled=settled)
    return Run(scenario, stage.history, broken, stage.world.now)
