"""What a writer expects of its own rows: SQLite's rules for conflicts, cascades and triggers, written down once more.

A transaction works on a copy of the state; `apply` returns the elementary effects, which the PostgreSQL form of the
application carries out one by one. Only rows of one writer are followed, and no two writers' rows can conflict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from tests.fleet.schema import OWNED, Key, Row, Table, Unique

Audit = Counter[tuple[int, int, int, str]]
"""Rows of the audit table: writer, version, item, action."""


class Mode(StrEnum):
    """How a statement answers a conflict."""

    PLAIN = "plain"
    REPLACE = "replace"
    IGNORE = "ignore"
    FAIL = "fail"
    ABORT = "abort"
    ROLLBACK = "rollback"
    UPSERT = "upsert"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """INSERT of one or more rows."""

    table: str
    rows: tuple[Row, ...]
    mode: Mode = Mode.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """UPDATE of rows by key, in one statement; may change a single row's key."""

    table: str
    keys: tuple[Key, ...]
    changes: Row
    mode: Mode = Mode.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """DELETE of rows by key, in one statement."""

    table: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """Actions inside a savepoint that is rolled back."""

    actions: tuple[Put | Change | Drop, ...]


Simple = Put | Change | Drop
Action = Simple | Undone


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One elementary change. `row`: the whole new row of an insert, or the changed columns of an update."""

    verb: str  # insert, update, delete, skip (the row of an insert that a conflict kept out)
    table: str
    key: Key
    row: Row | None = None


class Conflict(Exception):
    """The statement fails.

    `row` is what was refused, `effects` what stays nevertheless, `attempted` what came before it and is undone with it;
    `undone` says whether the whole transaction goes.
    """

    def __init__(self, table: str, row: Row, effects: list[Effect], *, undone: bool = False) -> None:
        super().__init__(table)
        self.table, self.row, self.effects, self.undone = table, row, effects, undone
        self.attempted: list[Effect] = []


class State:
    """The rows of one writer, by table and key, and what the audit table must hold of it."""

    def __init__(self, *, recursive: bool = False) -> None:
        self.tables: dict[str, dict[Key, Row]] = {name: {} for name in OWNED}
        self.audit: Audit = Counter()
        self.recursive = recursive
        """Whether rows that REPLACE removes fire delete triggers: `recursive_triggers`, and always in PostgreSQL."""

    def copy(self) -> State:
        """A state to work on; rows are never changed in place."""
        other = State(recursive=self.recursive)
        other.tables = {name: dict(rows) for name, rows in self.tables.items()}
        other.audit = self.audit.copy()
        return other

    def apply(self, action: Simple) -> list[Effect]:
        """Carry out one statement.

        Raises:
            Conflict: the statement fails; the state is as the statement leaves it. After OR FAIL earlier rows stay.
        """
        kept = self.copy()
        try:
            return list(self._effects(action))
        except Conflict as conflict:
            if not (isinstance(action, Put) and action.mode is Mode.FAIL):
                self.tables, self.audit = kept.tables, kept.audit
                conflict.effects, conflict.attempted = [], list(conflict.effects)
            raise

    def _effects(self, action: Simple) -> Iterator[Effect]:
        table = OWNED[action.table]
        match action:
            case Put():
                done: list[Effect] = []
                for row in action.rows:
                    for effect in self._put(table, row, action.mode, done):
                        done.append(effect)
                        yield effect
            case Change():
                for key in action.keys:
                    yield from self._change(table, key, action.changes, action.mode)
            case Drop():
                for key in action.keys:
                    yield self._remove(table, key, seen=True)

    def _put(self, table: Table, given: Row, mode: Mode, done: list[Effect]) -> Iterator[Effect]:
        row = {c: given.get(c) for c in table.columns}
        if mode is Mode.REPLACE:
            row |= {c: value for c, value in table.defaults if row[c] is None}
        rivals = self.rivals(table, row)
        key = table.key_of(row)
        if rivals and mode in (Mode.IGNORE, Mode.NOTHING):
            yield Effect(verb="skip", table=table.name, key=key, row=row)
            return
        if rivals and mode is Mode.UPSERT and key in rivals:
            yield from self._change(table, key, {c: row[c] for c in table.columns if c not in table.key}, Mode.PLAIN)
            return
        if rivals and mode is not Mode.REPLACE:
            raise Conflict(table.name, row, done, undone=mode is Mode.ROLLBACK)
        for rival in rivals:
            yield self._remove(table, rival, seen=self.recursive)
        self.tables[table.name][key] = row
        self._note(table, row, "new")
        yield Effect(verb="insert", table=table.name, key=key, row=row)

    def _change(self, table: Table, key: Key, changes: Row, mode: Mode) -> Iterator[Effect]:
        rows = self.tables[table.name]
        new = rows[key] | changes
        rivals = [k for k in self.rivals(table, new) if k != key]
        if rivals and mode is Mode.IGNORE:
            return
        if rivals and mode is not Mode.REPLACE:
            raise Conflict(table.name, new, [], undone=mode is Mode.ROLLBACK)
        for rival in rivals:
            yield self._remove(table, rival, seen=self.recursive)
        del rows[key]
        rows[table.key_of(new)] = new
        if table.name == "item" and new["id"] != key[0]:
            self._cascade(key[0], new["id"])
        self._note(table, new, "touch")
        yield Effect(verb="update", table=table.name, key=key, row=changes)

    def _remove(self, table: Table, key: Key, *, seen: bool) -> Effect:
        row = self.tables[table.name].pop(key)
        if table.name == "item":
            self._cascade(key[0], None)
            if seen:
                self._note(table, row, "gone")
        return Effect(verb="delete", table=table.name, key=key)

    def _cascade(self, item: int, moved: int | None) -> None:
        lines = self.tables["line"]
        for key in [k for k in lines if k[0] == item]:
            row = lines.pop(key)
            if moved is not None:
                lines[(moved, key[1])] = row | {"item": moved}

    def _note(self, table: Table, row: Row, action: str) -> None:
        if table.name == "item":
            self.audit[(row["w"], row["v"], row["id"], action)] += 1

    def rivals(self, table: Table, row: Row) -> list[Key]:
        """Keys of the rows that can't stand beside `row`."""
        if table.name == "loose":
            return []
        found = [table.key_of(row)] if table.key_of(row) in self.tables[table.name] else []
        for unique in table.uniques:
            wanted = _unique_value(unique, row)
            if wanted is not None:
                found += [k for k, r in self.tables[table.name].items() if _unique_value(unique, r) == wanted]
        return list(dict.fromkeys(found))


def _unique_value(unique: Unique, row: Row) -> Key | None:
    """What must be unique of a row; None where the rule doesn't count for it."""
    if unique.where is not None and row[unique.where[0]] != unique.where[1]:
        return None
    values = tuple(row[c] for c in unique.columns)
    if None in values:
        return None
    return tuple(v.lower() if unique.fold and isinstance(v, str) else v for v in values)
