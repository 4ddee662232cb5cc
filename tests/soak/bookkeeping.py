"""A bookkeeping service that honours idempotency keys: `python bookkeeping.py BOOKS`.

Each line `KEY TASK` asks it to book a charge; it answers with the number of the entry, the same one
whenever the key comes again.  Now and then it books, and the answer is lost.  BOOKS gets a line for
each request: the entry's number, key, task, and whether it was `new` or `again`.  It listens on a
free port of the loopback, which it prints.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

LOST = 0.02
"""The share of answers that are lost."""


class Books:
    """All charges, by their keys."""

    def __init__(self, path: Path) -> None:
        self._entries: dict[str, int] = {}
        self._lines = path.open("a", buffering=1)
        self._random = Random(1)

    def book(self, key: str, task_id: str) -> int | None:
        """The number of the charge's entry; None where the answer is lost."""
        known = self._entries.get(key)
        number = self._entries.setdefault(key, len(self._entries) + 1)
        how = "new" if known is None else "again"
        self._lines.write(f"{number} {key} {task_id} {how}\n")
        return None if self._random.random() < LOST else number

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One caller's connection."""
        try:
            while line := await reader.readline():
                if not line.endswith(b"\n"):
                    break  # its caller was killed as it asked
                number = self.book(*line.decode().split())
                if number is None:
                    break
                writer.write(b"%d\n" % number)
                await writer.drain()
        except ConnectionError:
            pass  # its caller was killed
        finally:
            writer.close()


async def main(path: Path) -> None:
    """Serve until killed."""
    server = await asyncio.start_server(Books(path).serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
