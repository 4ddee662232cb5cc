"""Whatever has happened to tasks: another ledger keeps them as they are."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.aws.emulator import Emulator
from tests.conformance.homes import DynamoHome, Home, PostgresHome, SqliteHome
from tests.conformance.stage import must_add_up
from tests.conformance.test_agreement import REPEATED, Agreement
from tests.conformance.test_copying import copies, must_be_alike
from tests.postgres.server import Server
from unlost.ledger.memory import MemoryLedger
from unlost.ledger.protocol import Ledger
from unlost.limits.control import Change

ALL_LEASES = 100
"""Seconds after which none goes on."""


async def nothing_is_set(ledger: Ledger) -> None:
    """Take away what is set for types: it is no part of a task, but decides when one is due."""
    for control in await ledger.controls():
        await ledger.resume(control.type)
        nothing = Change(None, None, None, None, None, pull=False)
        await ledger.change(control.type, nothing)


class Copying(Agreement):
    """At the end, both ledgers are copied: the real one into memory, that in memory for real."""

    async def copied(self, home: Home) -> None:
        self.clock.advance(ALL_LEASES)
        for ledger in (self.real, self.specification):
            await nothing_is_set(ledger)
        await self.copy(self.real, MemoryLedger(self.clock))
        real = await home.open(self.clock)
        try:
            await self.copy(self.specification, real)
        finally:
            await real.close()

    async def copy(self, ledger: Ledger, other: Ledger) -> None:
        await other.restore(await copies(ledger, limit=3))
        await must_be_alike(ledger, other)
        await must_add_up(other)

    def teardown(self) -> None:
        try:
            home = self.new_home()
            try:
                self.runner.run(self.copied(home))
            finally:
                home.close()
        finally:
            super().teardown()


def copying(home: Callable[[], Home], examples: int) -> None:
    machine = type("CopyingOfAHome", (Copying,), {"new_home": lambda _: home()})
    run_state_machine_as_test(machine, settings=settings(REPEATED, max_examples=examples))


def test_between_sqlite_and_memory() -> None:
    copying(SqliteHome, 12)


def test_between_postgres_and_memory(postgres: Server) -> None:
    copying(lambda: PostgresHome(postgres), 5)


def test_between_dynamodb_and_memory(emulator: Emulator) -> None:
    copying(lambda: DynamoHome(emulator), 1)
