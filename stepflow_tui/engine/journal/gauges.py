"""Gauges: the newest value of what a live run shows, kept in memory and written at most once a second."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow_tui.engine.journal.writer import Writer


class GaugeRows(Writer):
    """The gauge rows of a run: `lag`, `wal`, `switch`, `live`."""

    @property
    def _gauges(self) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Newest values, and the names of those not written yet."""
        found: tuple[dict[str, dict[str, Any]], set[str]] | None = self.__dict__.get("_gauge_book")
        if found is None:
            found = self.__dict__["_gauge_book"] = ({}, set())
        return found

    def gauge(self, name: str, data: Mapping[str, Any]) -> None:
        """Show these values from now on; cheap, may be called for every tick. Keys that are not given keep their value."""
        newest, dirty = self._gauges
        merged = newest.get(name, {}) | dict(data)
        if merged != newest.get(name):
            newest[name] = merged
            dirty.add(name)

    def gauges(self) -> dict[str, dict[str, Any]]:
        """What is shown, by name."""
        return dict(self._gauges[0])

    async def flush_gauges(self) -> None:
        """Write what changed; called once a second by the engine, and at the end."""
        newest, dirty = self._gauges
        taken = [(name, self.plain(newest[name]), self.clock.now_ms()) for name in sorted(dirty)]
        dirty.clear()
        if taken:
            await self.executemany("INSERT OR REPLACE INTO gauge(name,data,at_ms) VALUES(?,?,?)", taken)

    async def load_gauges(self) -> None:
        """What the engine before showed last: a resumed run goes on from there."""
        import json

        for row in await self.fetch("SELECT name,data FROM gauge"):
            self._gauges[0].setdefault(row["name"], json.loads(row["data"]))

    async def forget_gauges(self, *names: str) -> None:
        """Show these no more."""
        for name in names:
            self._gauges[0].pop(name, None)
            self._gauges[1].discard(name)
            await self.execute("DELETE FROM gauge WHERE name=?", (name,))
