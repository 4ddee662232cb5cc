"""What people set for types, at once and past the adversary: claims must go by it."""

from __future__ import annotations

from tests.simulation.adversary import atomic
from tests.simulation.scenario import HANDLER_LIMITS, Rule
from unlost.ledger.protocol import Controls
from unlost.limits.breaker import Breaker
from unlost.limits.control import Change
from unlost.task import SECOND

FREE = Change(limit=None, key_limit=None, breaker=None, rate=None, key_rate=None)


def apply(ledger: Controls, rule: Rule) -> None:
    """Set it."""
    if rule.what == "pause":
        atomic(ledger.pause(rule.type, "ann", None))
    elif rule.what == "resume":
        atomic(ledger.resume(rule.type))
    else:
        atomic(ledger.change(rule.type, _change(rule)))


def a_second(rule: Rule) -> float:
    """How many may start."""
    return 0.7 * rule.number


def _change(rule: Rule) -> Change:
    if rule.what == "limit":
        return Change(limit=rule.number)
    if rule.what == "keyLimit":
        return Change(key_limit=rule.number)
    if rule.what == "pull":
        return Change(pull=bool(rule.number))
    if rule.what == "rate":
        return Change(rate=a_second(rule))
    if rule.what == "keyRate":
        return Change(key_rate=a_second(rule))
    return Change(
        breaker=Breaker(minimum=rule.number, pause=SECOND, probes=rule.number, excuse=excuses(rule))
    )


def excuses(rule: Rule) -> bool:
    """Whether it sets a breaker that excuses failures."""
    return rule.what == "breaker" and int(rule.at * 1_000) % 2 == 0


def free(ledger: Controls) -> None:
    """Nothing is set any more."""
    for name in HANDLER_LIMITS:
        atomic(ledger.resume(name))
        atomic(ledger.change(name, FREE))
