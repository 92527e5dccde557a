"""What a router tells the engine: batches of figures as JSON, through the function `_stepflow.report` in PostgreSQL."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable
from typing import Any, Final

from stepflow_tui.client.buckets import Key, Side, key_bytes
from stepflow_tui.client.figures import Pair

REPORT_SQL: Final = "select _stepflow.report(%s, %s)"
"""Parameters: the router's name and the JSON text. asyncpg writes `$1, $2` instead."""

READS, SHADOWS = "reads", "shadow"
_MOST_SUSPECTS = 100


class Figures:
    """Counts what happened since the last batch. Safe to use from several threads."""

    def __init__(self) -> None:
        self.router = secrets.token_hex(6)
        self.lost = 0
        """Requests whose figures could not be delivered."""
        self._lock = threading.Lock()
        self._fresh()

    def _fresh(self) -> None:
        self._streams = {READS: Pair(), SHADOWS: Pair()}
        self._counts = {"shadows": 0, "mismatches": 0, "moving": 0, "skipped": 0}
        self._suspects: list[dict[str, str]] = []

    def read(self, side: Side, seconds: float, error: BaseException | bool | None, stream: str = READS) -> None:
        """Count one read."""
        with self._lock:
            self._streams[stream].arm(side).add(seconds, error)

    def shadow(self, side: Side, seconds: float, error: BaseException | None) -> None:
        """Count one shadow read: the side that was asked in addition."""
        self.read(side, seconds, error, SHADOWS)
        self.count("shadows")

    def count(self, what: str) -> None:
        """Count a confirmed mismatch (`mismatches`), a row that kept changing (`moving`), a shadow read left out (`skipped`)."""
        with self._lock:
            self._counts[what] += 1

    def suspect(self, table: str, key: Key) -> None:
        """A row that the engine shall compare itself."""
        with self._lock:
            if len(self._suspects) < _MOST_SUSPECTS:
                self._suspects.append({"table": table, "key": key_bytes(key).decode("utf-8", "replace")})

    def take(self) -> tuple[str, int] | None:
        """The batch as JSON with its number of requests; None when there is nothing to tell."""
        with self._lock:
            streams, counts, suspects = self._streams, self._counts, self._suspects
            self._fresh()
        requests = sum(arm.requests for pair in streams.values() for arm in (pair.old, pair.new))
        if not requests and not any(counts.values()) and not suspects:
            return None
        body: dict[str, Any] = {name: pair.plain() for name, pair in streams.items()}
        body |= counts | {"suspects": suspects}
        return json.dumps(body, separators=(",", ":")), requests


def dbapi_report(connect: Callable[[], Any], sql: str = REPORT_SQL) -> Callable[[str, str], None]:
    """A `report` for any DB-API driver (psycopg, pg8000): one connection of its own, opened again after a failure.

    Args:
        connect: opens a connection to the target, with a short connect timeout.
        sql: with the driver's own parameter marks.
    """
    kept: list[Any] = []

    def report(router: str, body: str) -> None:
        connection = kept.pop() if kept else connect()
        try:
            cursor = connection.cursor()
            cursor.execute(sql, (router, body))
            cursor.close()
            connection.commit()
        except BaseException:
            connection.close()
            raise
        kept.append(connection)

    return report
