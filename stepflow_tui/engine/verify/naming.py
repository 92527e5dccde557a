"""Differences of one table: counted all, named up to a bound, each with class, cause and repair SQL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Scalar
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.verify.classify import classify
from stepflow_tui.engine.verify.expected import Expected, Value, Wrong
from stepflow_tui.engine.verify.printed import shorten, source_text, target_text

_LONGEST_SQL = 65_536
"""Repair SQL longer than this is not shown: such a row is copied again instead."""

Content = tuple[Expected, ...]
Found = tuple[int | bytes | None, ...]


class Differences:
    """Collects the differences of one table.

    Args:
        table: its plan.
        columns: the compared columns, in the order of the contents given.
        key: names of the key columns (source); empty without a key.
        limit: at most this many differing rows are named.
    """

    def __init__(self, table: TablePlan, columns: Sequence[ColumnPlan], key: Sequence[str], limit: int) -> None:
        self._table = table
        self._columns = columns
        self._key = tuple(key)
        self._limit = limit
        self.rows = 0
        self.named: list[Discrepancy] = []
        self._named_rows = 0
        self._wanted: dict[bytes, list[dict[str, Scalar]]] = {}  # expected content → keys whose row lacks it
        self._held: list[tuple[int, bytes]] = []  # index in `named` → content the target has there

    def _take(self) -> bool:
        self.rows += 1
        self._named_rows += 1
        return self._named_rows <= self._limit

    def missing(self, key: dict[str, Scalar], source: Sequence[Value], expected: Content) -> None:
        """A source row that the target lacks."""
        if not self._take():
            return
        self._wanted.setdefault(self._content(expected), []).append(key)
        cause = "never copied, or deleted afterwards"
        self._add(key, DiffClass.MISSING, source=self._row(source), cause=cause, repair_sql=self._insert(expected))

    def surplus(self, key: dict[str, Scalar], found: Found, *, where: str = "") -> None:
        """A target row that the source lacks. `where`: the condition that finds it, when it has no key."""
        if not self._take():
            return
        shown = shown_row(self._columns, found)
        sql = f"delete from {self._name} where {where or self.where(key)}"
        self._held.append((len(self.named), self._content(found)))
        cause = "written by something else, or copied twice"
        self._add(key, DiffClass.EXTRA, target=shown, cause=cause, repair_sql=sql)

    def changed(
        self, key: dict[str, Scalar], source: Sequence[Value], expected: Content, found: Found, *, where: str = ""
    ) -> bool:
        """A row both sides have. Returns whether it differs. `where`: the condition that finds it, when it has no key."""
        unequal = [n for n, (a, b) in enumerate(zip(expected, found, strict=True)) if isinstance(a, Wrong) or a != b]
        if unequal and self._take():
            self._wanted.setdefault(self._content(expected), []).append(key)
            for n in unequal:
                column = self._columns[n]
                self._held.append((len(self.named), self._content(found)))
                cls, cause = classify(expected[n], found[n], column)
                # an update moves a row: one that is known by its place only is repaired by one statement
                together = [n] if not where else unequal if n == unequal[0] else []
                self._add(
                    key,
                    cls,
                    column=column.source,
                    source=shorten(source_text(source[n])),
                    target=shown_value(found[n], column),
                    cause=cause,
                    repair_sql=self._update(where or self.where(key), {m: expected[m] for m in together}),
                )
        return bool(unequal)

    def add_named(self, found: Sequence[Discrepancy]) -> None:
        """Differences that somebody else named, one each."""
        self.rows += len(found)
        self.named += found[: self._limit]

    def finish(self) -> tuple[Discrepancy, ...]:
        """The named differences; rows whose content stands under another key are said to be so."""
        for index, content in self._held:
            entry = self.named[index]
            others = [k for k in self._wanted.get(content, ()) if k != entry.key] if content else []
            if not others:
                continue
            if entry.cls is DiffClass.EXTRA:
                self.named[index] = replace(
                    entry, cause=f"the source has this content under {others[0]}: the key changed"
                )
            else:
                cause = f"the target has here the content that belongs to {others[0]}: rows were swapped"
                self.named[index] = replace(entry, cls=DiffClass.ORDER, cause=cause)
        return tuple(self.named)

    def where(self, key: dict[str, Scalar]) -> str:
        """The condition that finds a target row by its key."""
        return key_condition(self._columns, key)

    @property
    def _name(self) -> str:
        return pg_name(self._table.schema, self._table.name)

    def _add(
        self,
        key: dict[str, Scalar],
        cls: DiffClass,
        *,
        column: str | None = None,
        source: str | None = None,
        target: str | None = None,
        cause: str,
        repair_sql: str,
    ) -> None:
        shown = repair_sql if len(repair_sql) <= _LONGEST_SQL else ""
        self.named.append(
            Discrepancy(
                table=self._table.source,
                key=key,
                column=column,
                cls=cls,
                source=source,
                target=target,
                cause=cause,
                repair_sql=shown,
            )
        )

    def _content(self, values: Content | Found) -> bytes:
        """A digest of everything but the key; empty where the key is everything."""
        sha = hashlib.sha256()
        if len(self._key) >= len(self._columns):
            return b""
        for column, value in zip(self._columns, values, strict=True):
            if column.source not in self._key:
                sha.update(repr(value).encode())
        return sha.digest()

    def _row(self, source: Sequence[Value]) -> str:
        return shorten(", ".join(f"{c.source}={source_text(v)}" for c, v in zip(self._columns, source, strict=True)))

    def _insert(self, expected: Content) -> str:
        if any(isinstance(v, Wrong) for v in expected):
            return ""
        pairs = [(c, v) for c, v in zip(self._columns, expected, strict=True) if c.generated is None]
        names = ",".join(pg_ident(c.target) for c, _ in pairs)
        return f"insert into {self._name} ({names}) values ({','.join(_literal(v, c) for c, v in pairs)})"

    def _update(self, where: str, values: dict[int, Expected]) -> str:
        """An UPDATE of these columns; empty where one of them can't be set."""
        columns = {n: self._columns[n] for n in values}
        if (
            not values
            or any(isinstance(v, Wrong) for v in values.values())
            or any(c.generated for c in columns.values())
        ):
            return ""
        parts = ",".join(f"{pg_ident(columns[n].target)}={_literal(v, columns[n])}" for n, v in values.items())
        return f"update {self._name} set {parts} where {where}"


def key_condition(columns: Sequence[ColumnPlan], key: dict[str, Scalar]) -> str:
    """The condition that finds a target row by its key (source column → value)."""
    targets = {c.source: c for c in columns}
    parts = []
    for name, value in key.items():
        column = pg_ident(targets[name].target)
        text = "\\x" + value.hex() if isinstance(value, bytes) else str(value)
        parts.append(f"{column} is null" if value is None else f"{column}={pg_literal(text)}")
    return " and ".join(parts)


def shown_row(columns: Sequence[ColumnPlan], found: Found) -> str:
    """A target row as a report shows it."""
    return shorten(", ".join(f"{c.target}={shown_value(v, c)}" for c, v in zip(columns, found, strict=True)))


def shown_value(value: Expected, column: ColumnPlan) -> str:
    """A target value as a report shows it."""
    text = target_text(value, column)
    return "NULL" if text is None else shorten(text)


def _literal(value: Expected, column: ColumnPlan) -> str:
    text = target_text(value, column)
    return "null" if text is None else pg_literal(text)
