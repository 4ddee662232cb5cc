"""The tasks of a soak, made up from its seed: what client number n submits as task number m."""

from __future__ import annotations

from random import Random
from typing import Any

Task = dict[str, Any]

ORDINARY = ("waits", "waits", "waits", "waits sync")
RARE = {
    "prints": 150, "forks": 600, "forks sync": 600, "spawns": 600, "hangs": 500,
    "waits long": 1_500,
}  # fmt: skip
"""Types that leave their worker alive, each with the number of tasks among which there is one."""

VIOLENT = {
    "kills itself": 2_500, "exits": 2_600, "faults": 2_700, "hangs sync": 4_000,
    "blocks the loop": 7_000, "holds the lock": 8_000,
}  # fmt: skip
"""Types that do not."""

ALWAYS = 5
"""One in so many of the violent ones never stops misbehaving."""

LONGEST = 0.1
"""Seconds that an ordinary task takes at most."""


def task(seed: int, number: int) -> Task:
    """Task `number` of the soak with this seed, as a client sends it."""
    random = Random(f"{seed}/{number}")
    kind = random.choice(ORDINARY)
    for rare, among in (RARE | VIOLENT).items():
        if number % among == len(rare):
            kind = rare
    made: Task = {
        "taskId": f"s{seed}-{number}",
        "type": kind,
        "payload": {"seconds": round(random.uniform(0, LONGEST), 4), "text": "é" * (number % 50)},
    }
    if kind in VIOLENT and random.randrange(ALWAYS) == 0:
        made["payload"]["always"] = True
        made["maxRetries"] = 1
    elif random.randrange(10) == 0:
        made["maxRetries"] = random.randrange(4)
    if random.randrange(20) == 0:
        made["priority"] = random.randrange(-5, 6)
    if random.randrange(20) == 0:
        made["delaySeconds"] = round(random.uniform(0, 2), 3)
    return made


def portions(seed: int, first: int, count: int) -> list[list[Task]]:
    """Tasks `first` and the `count` - 1 after it, as clients send them: alone or in batches."""
    random = Random(f"{seed}/{first}/portions")
    cut: list[list[Task]] = []
    number, end = first, first + count
    while number < end:
        size = 1 if random.random() < 0.93 else random.randrange(10, 80)
        size = min(size, end - number)
        cut.append([task(seed, one) for one in range(number, number + size)])
        number += size
    return cut
