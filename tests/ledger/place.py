"""A stage whose table and index tests can reach."""

from __future__ import annotations

from typing import Any

from tests.conformance.stage import Clock, Stage
from tests.ledger.rough import Lagging, Rough
from tests.ledger.tables import CountedLedger, Table


class Place(Stage):
    """A stage whose table and index tests can reach."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self.table = table
        self.index = Lagging(table.client)
        self.own = table.ledger(clock, client=self.index)

        async def opener() -> CountedLedger:
            return self.own

        super().__init__(self.own, clock, opener)

    def rough(self) -> CountedLedger:
        """The same table, read in small pieces."""
        return self.table.ledger(self.clock, client=Rough(self.table.client))

    def items(self, task_id: str) -> set[str]:
        """What is stored of a task."""
        answer = self.table.client.query(
            TableName=self.table.name,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": f"t#{task_id}"}},
        )
        return {item["sk"]["S"] for item in answer["Items"]}

    def edit(self, task_id: str, name: str, value: dict[str, Any]) -> None:
        """Write into a record as somebody might in the console."""
        self.table.client.update_item(
            TableName=self.table.name,
            Key={"pk": {"S": f"t#{task_id}"}, "sk": {"S": "task"}},
            UpdateExpression="SET #n = :v",
            ExpressionAttributeNames={"#n": name},
            ExpressionAttributeValues={":v": value},
        )

    def remove(self, task_id: str, item: str = "task") -> None:
        """Remove an item past every guard."""
        key = {"pk": {"S": f"t#{task_id}"}, "sk": {"S": item}}
        self.table.client.delete_item(TableName=self.table.name, Key=key)
