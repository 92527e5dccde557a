"""Differences of one table: counted all, named up to a bound, each with class, cause and repair SQL.

Everything that is printed here shows sensitive columns as fingerprints. The repair alone gets the true key and statement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import replace
from functools import partial

from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Scalar, Truth
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.verify.classify import classify
from stepflow_tui.engine.verify.expected import Expected, Value, Wrong
from stepflow_tui.engine.verify.printed import shorten, source_scalar, source_text, target_scalar, target_text

_LONGEST_SQL = 65_536
"""Repair SQL longer than this is not shown: such a row is copied again instead."""

Content = tuple[Expected, ...]
Found = tuple[int | bytes | None, ...]
Key = dict[str, Scalar]
Literal = Callable[[Expected, ColumnPlan], str]
"""How a value stands in a statement."""


class Differences:
    """Collects the differences of one table.

    Args:
        table: its plan.
        columns: the compared columns, in the order of the contents given.
        key: names of the key columns (source); empty without a key.
        limit: at most this many differing rows are named.
        mask: hides the values of sensitive columns.
        left_out: keys (as text) by source column: surplus rows with one are counted apart.
    """

    def __init__(
        self,
        table: TablePlan,
        columns: Sequence[ColumnPlan],
        key: Sequence[str],
        limit: int,
        mask: Mask = NO_MASK,
        left_out: Mapping[str, Container[str]] | None = None,
    ) -> None:
        self._table = table
        self._columns = columns
        self._key = tuple(key)
        self._limit = limit
        self._mask = mask
        self._hides = mask.covers(table.source, None)
        self._left_out = left_out or {}
        self.left_out = 0
        self.rows = 0
        self.named: list[Discrepancy] = []
        self._named_rows = 0
        self._wanted: dict[bytes, list[Key]] = {}  # expected content → keys whose row lacks it
        self._held: list[tuple[int, bytes]] = []  # index in `named` → content the target has there

    def _take(self) -> bool:
        self.rows += 1
        self._named_rows += 1
        return self._named_rows <= self._limit

    def missing(self, key: Key, source: Sequence[Value], expected: Content) -> None:
        """A source row that the target lacks."""
        if not self._take():
            return
        self._wanted.setdefault(self._content(expected), []).append(key)
        cause = "never copied, or deleted afterwards"
        self._add(
            key,
            DiffClass.MISSING,
            source=self._row(source),
            cause=cause,
            repair=lambda _, literal: self._insert(expected, literal),
        )

    def surplus(self, key: Key, found: Found, *, where: str = "") -> None:
        """A target row that the source lacks. `where`: the condition that finds it, when it has no key."""
        if any(str(key[name]) in keys for name, keys in self._left_out.items() if name in key):
            self.left_out += 1
            return
        if not self._take():
            return
        self._held.append((len(self.named), self._content(found)))
        self._add(
            key,
            DiffClass.EXTRA,
            target=shown_row(self._columns, found, self._mask, self._table),
            cause="written by something else, or copied twice",
            repair=lambda name, literal: f"delete from {self._name} where {where or self._where(name, literal)}",
        )

    def changed(self, key: Key, source: Sequence[Value], expected: Content, found: Found, *, where: str = "") -> bool:
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
                    source=self._source(source[n], column),
                    target=shown_value(found[n], column, self._mask, self._table),
                    cause=cause,
                    repair=partial(self._update, where, {m: expected[m] for m in together}),
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
            others = [k for k in self._wanted.get(content, ()) if k != entry.true_key] if content else []
            if not others:
                continue
            other = self._mask.shown_key(self._table.source, others[0])
            if entry.cls is DiffClass.EXTRA:
                self.named[index] = replace(entry, cause=f"the source has this content under {other}: the key changed")
            else:
                cause = f"the target has here the content that belongs to {other}: rows were swapped"
                self.named[index] = replace(entry, cls=DiffClass.ORDER, cause=cause)
        return tuple(self.named)

    def _where(self, key: Key, literal: Literal) -> str:
        hidden = self._mask.columns.get(self._table.source, frozenset()) if literal != _literal else frozenset()
        return key_condition(self._columns, key, bare=hidden)

    @property
    def _name(self) -> str:
        return pg_name(self._table.schema, self._table.name)

    def _add(
        self,
        key: Key,
        cls: DiffClass,
        *,
        column: str | None = None,
        source: str | None = None,
        target: str | None = None,
        cause: str,
        repair: Callable[[Key, Literal], str],
    ) -> None:
        """`repair` makes the statement out of a key and the way values are written."""
        statement = repair(key, _literal)
        if len(statement) > _LONGEST_SQL:
            statement = ""
        shown_key = self._mask.shown_key(self._table.source, key) if self._hides else key
        shown = repair(shown_key, self._shown_literal) if self._hides and statement else statement
        self.named.append(
            Discrepancy(
                table=self._table.source,
                key=shown_key,
                column=column,
                cls=cls,
                source=source,
                target=target,
                cause=cause,
                repair_sql=shown,
                truth=Truth(key=key, repair_sql=statement) if self._hides else None,
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
        pairs = zip(self._columns, source, strict=True)
        return shorten(", ".join(f"{c.source}={self._source(v, c, whole=True)}" for c, v in pairs))

    def _source(self, value: Value, column: ColumnPlan, *, whole: bool = False) -> str:
        if value is not None and self._mask.covers(self._table.source, column.source):
            return self._mask.fingerprint(source_scalar(value))
        text = source_text(value)
        return text if whole else shorten(text)

    def _shown_literal(self, value: Expected, column: ColumnPlan) -> str:
        if value is None or isinstance(value, Wrong) or not self._mask.covers(self._table.source, column.source):
            return _literal(value, column)
        return self._mask.fingerprint(target_scalar(value, column))

    def _insert(self, expected: Content, literal: Literal) -> str:
        if any(isinstance(v, Wrong) for v in expected):
            return ""
        pairs = [(c, v) for c, v in zip(self._columns, expected, strict=True) if c.generated is None]
        names = ",".join(pg_ident(c.target) for c, _ in pairs)
        return f"insert into {self._name} ({names}) values ({','.join(literal(v, c) for c, v in pairs)})"

    def _update(self, where: str, values: dict[int, Expected], key: Key, literal: Literal) -> str:
        """An UPDATE of these columns; empty where one of them can't be set."""
        columns = {n: self._columns[n] for n in values}
        if (
            not values
            or any(isinstance(v, Wrong) for v in values.values())
            or any(c.generated for c in columns.values())
        ):
            return ""
        parts = ",".join(f"{pg_ident(columns[n].target)}={literal(v, columns[n])}" for n, v in values.items())
        return f"update {self._name} set {parts} where {where or self._where(key, literal)}"


def key_condition(columns: Sequence[ColumnPlan], key: Key, bare: Container[str] = ()) -> str:
    """The condition that finds a target row by its key (source column → value); `bare` columns hold fingerprints."""
    targets = {c.source: c for c in columns}
    parts = []
    for name, value in key.items():
        column = pg_ident(targets[name].target)
        text = "\\x" + value.hex() if isinstance(value, bytes) else str(value)
        shown = text if name in bare else pg_literal(text)
        parts.append(f"{column} is null" if value is None else f"{column}={shown}")
    return " and ".join(parts)


def shown_row(columns: Sequence[ColumnPlan], found: Found, mask: Mask, table: TablePlan) -> str:
    """A target row as a report shows it."""
    pairs = zip(columns, found, strict=True)
    return shorten(", ".join(f"{c.target}={shown_value(v, c, mask, table)}" for c, v in pairs))


def shown_value(value: int | bytes | None, column: ColumnPlan, mask: Mask, table: TablePlan) -> str:
    """A target value as a report shows it."""
    if value is not None and mask.covers(table.source, column.source):
        return mask.fingerprint(target_scalar(value, column))
    text = target_text(value, column)
    return "NULL" if text is None else shorten(text)


def _literal(value: Expected, column: ColumnPlan) -> str:
    text = target_text(value, column)
    return "null" if text is None else pg_literal(text)
