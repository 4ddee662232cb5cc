"""Where the processes of a service put together what each of them measured.

A process counts in memory, on no task's way, and publishes its totals under a name of its own.
So the sum over all rows is right whoever reads it, repeating a publication changes nothing, and a
process that is killed takes at most what it had not yet published with it.
"""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

from unlost.task import SECOND, Micros
from unlost.telemetry.measures import Measures

SILENT: Final[Micros] = 600 * SECOND
"""How long a process may be silent before its row is taken for one that ended."""


@runtime_checkable
class Measured(Protocol):
    """A ledger that keeps what its processes measure.

    Not every one does: on AWS, CloudWatch has the metrics.  `LedgerUnavailable` may come from any
    of these, and then nobody knows whether the step was done; each may be repeated.
    """

    async def open_measures(self, process: str) -> None:
        """Make an empty row for a process.

        Adds the rows of processes that have long been silent to the sum of those that ended, so
        that rows stay few.
        """
        ...

    async def publish_measures(self, process: str, measures: Measures) -> bool:
        """Put these totals in place of the process's last ones.

        False where it has no row, since it was silent for too long: what it had published is in
        the sum, and it has to go on under a new name with what it has counted since.
        """
        ...

    async def close_measures(self, process: str, measures: Measures) -> None:
        """The same for the last time: adds these totals to the sum of those that ended."""
        ...

    async def sum_measures(self) -> Measures:
        """What all processes have published so far, at one moment.  Never less than before."""
        ...
