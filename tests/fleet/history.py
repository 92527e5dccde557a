"""The history of a writer: one JSON line per event, on disk before anything is built on it.

start    the transaction was decided on; nothing of it is known yet
invoke   COMMIT is about to be sent; what the transaction does
ok       acknowledged (synced to disk before the writer goes on)
fail     known not to have happened
info     nobody knows
wrong    the database answered what it can't have answered if it held everything acknowledged
side     the writer writes to another side from here on
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.fleet.values import dumps, loads


class History:
    """Appends to a file of its own."""

    def __init__(self, path: Path, w: int) -> None:
        self._file = path.open("a", encoding="ascii")
        self._w = w

    def add(self, event: str, v: int, *, sync: bool = False, **data: Any) -> None:
        """Append a line; `sync`: it is on the disk when this returns."""
        self._file.write(dumps({"event": event, "w": self._w, "v": v, "at": time.monotonic()} | data) + "\n")
        self._file.flush()
        if sync:
            os.fdatasync(self._file.fileno())


class Watch:
    """Counts acknowledged transactions as the histories grow, by side."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._sides: dict[int, str] = {}
        self._acknowledged: Counter[str] = Counter()

    def acknowledged(self, side: str | None = None) -> int:
        """How many by now."""
        for path in self._folder.glob("writer-*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                new = file.read().rpartition(b"\n")[0]
            self._read[path] = self._read.get(path, 0) + (len(new) + 1 if new else 0)
            for line in new.splitlines():
                self._count(loads(line.decode("ascii")))
        return self._acknowledged.total() if side is None else self._acknowledged[side]

    def _count(self, line: dict[str, Any]) -> None:
        if line["event"] == "invoke":
            self._sides[line["w"]] = line["side"]
        elif line["event"] == "ok":
            self._acknowledged[self._sides[line["w"]]] += 1


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """All lines of all writers, writer by writer. A line cut short by a kill ends its file."""
    for path in sorted(folder.glob("writer-*.jsonl")):
        for line in path.read_text(encoding="ascii").splitlines(keepends=True):
            if line.endswith("\n"):
                yield loads(line)
