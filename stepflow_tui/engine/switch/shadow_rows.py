"""Which rows shadow reads look at: first a pass over every table that has rows, then rows chosen by chance for ever.

A small table is read whole in a pass, of a large one a sample; by chance, a table's turn comes as often as it has rows, and
rows of small tables come again and again.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from stepflow_tui.engine.live.compare import TableComparison
from stepflow_tui.engine.live.compare_sides import Place, TableSides
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import lite_ident

SMALL: Final = 100
"""A table with no more rows is read whole in a pass; of a larger one so many rows are."""
PASS_READS: Final = 500
"""So many rows a pass reads at most, and in any case one of every table that has rows."""
_SECONDS: Final = 0.5

Chosen = dict[str, list[Place]]
"""Source table → keys."""


class ShadowRows:
    """Chooses keys. Blocking: runs in a thread.

    Args:
        total: the rows of a table as they were once counted, None where nobody has.
        chance: what chooses.
    """

    def __init__(self, total: Callable[[str], int | None], chance: random.Random) -> None:
        self._total, self._chance = total, chance
        self._keys: dict[str, TableSides] = {}
        self._places: dict[str, Place | None] = {}
        self._left: Chosen | None = None

    def restart(self) -> None:
        """Begin another pass."""
        self._left = None

    @property
    def passed(self) -> bool:
        """Whether every row of the pass was read."""
        return self._left is not None and not self._left

    def done(self, table: str, places: list[Place]) -> None:
        """These keys were read."""
        if self._left is None or table not in self._left:
            return
        left = [place for place in self._left[table] if place not in places]
        if left:
            self._left[table] = left
        else:
            del self._left[table]

    def choose(self, conn: sqlite3.Connection, tables: Mapping[str, TableComparison], budget: int) -> Chosen:
        """Keys for a round: what the pass still wants, else by chance.

        Args:
            conn: a snapshot of the source.
            tables: the tables that can be read by key.
            budget: so many keys at most.
        """
        rows = {name: count for name, one in tables.items() if (count := self._rows(conn, one.table))}
        if self._left is None:
            share = max(1, PASS_READS // max(1, len(rows)))
            self._left = {n: p for n, c in rows.items() if (p := self._sample(conn, tables[n], c, min(share, SMALL)))}
        self._left = {name: places for name, places in self._left.items() if name in tables}
        return self._of_pass(budget) or self._by_chance(conn, tables, rows, budget)

    def _of_pass(self, budget: int) -> Chosen:
        left, found = self._left or {}, Chosen()
        each = max(1, budget // max(1, len(left)))
        for name in list(left)[:budget]:
            found[name] = left[name][:each]
        return found

    def _by_chance(
        self, conn: sqlite3.Connection, tables: Mapping[str, TableComparison], rows: Mapping[str, int], budget: int
    ) -> Chosen:
        turns = Counter(self._chance.choices(list(rows), weights=list(rows.values()), k=budget)) if rows else Counter()
        found: Chosen = {}
        for name, count in turns.items():
            places = self._sample(conn, tables[name], rows[name], count)
            # a small table's rows come again, so that it is read as often as the budget asks
            found[name] = self._chance.choices(places, k=count) if places else []
        return found

    def _rows(self, conn: sqlite3.Connection, table: TablePlan) -> int:
        """Exact for small tables; else what was counted once, or a guess above small."""
        few = f"select count(*) from (select 1 from {lite_ident(table.source)} limit {SMALL + 1})"
        count: int = conn.execute(few).fetchone()[0]
        return count if count <= SMALL else max(count, self._total(table.source) or 0)

    def _sample(self, conn: sqlite3.Connection, comparison: TableComparison, rows: int, count: int) -> list[Place]:
        """Different keys, at most so many."""
        sides = self._sides(comparison)
        if rows <= SMALL:
            found = sides.own_slice(conn, None, SMALL, _SECONDS).rows
            return self._chance.sample(found, min(count, len(found)))
        table = comparison.table
        rowid = table.rowid_alias or table.rowid_name if not table.without_rowid else None
        if rowid is None:
            piece = sides.own_slice(conn, self._places.get(table.source), count, _SECONDS)
            self._places[table.source] = piece.last
            return piece.rows
        x, name = lite_ident(rowid), lite_ident(table.source)
        low, high = conn.execute(f"select (select min({x}) from {name}), (select max({x}) from {name})").fetchone()
        starts = [(self._chance.randint(low - 1, high - 1),) if low > -(2**63) else None for _ in range(count)]
        return list(dict.fromkeys(row for start in starts for row in sides.own_slice(conn, start, 1, _SECONDS).rows))

    def _sides(self, comparison: TableComparison) -> TableSides:
        """How the keys alone are read: a row may be large."""
        known = self._keys.get(comparison.table.source)
        if known is None:
            known = TableSides(comparison.job, comparison.table, comparison.sides.key_columns)
            self._keys[comparison.table.source] = known
        return known
