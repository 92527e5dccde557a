"""Random schemas and random writes for change capture, and the check that no changed key is missing in the log.

Every schema is made by one number, so a failure names the number that makes it again. Run as a module it prints figures:
`python -m tests.capture_fuzz 15000`.
"""

from __future__ import annotations

import random
import sqlite3
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from stepflow_tui.engine.model.live import LOG, CapturedTable
from stepflow_tui.engine.model.schema import SourceTable
from stepflow_tui.engine.plan.capture import captured_table, key_of, uncapturable
from stepflow_tui.engine.plan.quote import lite_ident as q
from stepflow_tui.engine.sqlite.catalog import read_schema

NAMES = ("a", "b", "c", "d e", 'f"g', "order", "Ärger", "rowid", "_rowid_", "oid", "new", "old")
TYPES = ("INTEGER", "INT", "TEXT", "REAL", "NUMERIC", "BLOB", "", "VARCHAR(9)")
VALUES = ("null", "0", "1", "2", "3", "'1'", "'a'", "'A'", "'a '", "'b'", "1.0", "1.5", "x'61'", "''")
DEFAULTS = (
    "1",
    "'1'",
    "'a'",
    "'A'",
    "2.0",
    "(1+1)",
    "word",
    '"c"',
    "-1",
    "x'61'",
    "(lower('A'))",
    "1.5",
    "true",
    "null",
)
COLLATIONS = ("BINARY", "NOCASE", "RTRIM")
EXPRESSIONS = (
    "lower({0})", "{0} || 'x'", "{0} + 1", "abs({0})", "typeof({0})", "coalesce({0}, {1})", "{0} || {1}", "length({0})",
    "{0} || {1} collate nocase", "case when {0} > {1} then {0} else {1} end", "substr({0}, 1, 1)", "({0} = 'a') -- equal\n",
)  # fmt: skip
CONDITIONS = ("{0} is not null", "{0} > 1", "{0} <> 'a'", "{0} in (1, 'a', 'A')", "{0} > {1}", "typeof({0}) = 'text'")
CONFLICTS = ("", "", " or replace", " or replace", " or replace", " or ignore", " or fail", " or abort", " or rollback")


@dataclass
class Tally:
    """What a series of schemas came to. `reconcile_missed` counts keys of tables that are marked for it."""

    schemas: int = 0
    refused: int = 0
    statements: int = 0
    failed: int = 0  # statements that SQLite refused; what they did before that counts
    changed: int = 0
    replaced: int = 0  # rows removed by statements that delete nothing themselves
    logged: int = 0
    missed: int = 0
    marked: int = 0  # tables marked "reconcile"
    reconcile_missed: int = 0
    shapes: dict[str, int] = field(default_factory=dict)
    first: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        for name, value in vars(other).items():
            mine = getattr(self, name)
            if isinstance(value, int):
                setattr(self, name, mine + value)
            elif isinstance(value, dict):
                for key, count in value.items():
                    mine[key] = mine.get(key, 0) + count
            else:
                mine.extend(value[: 5 - len(mine)])


def normal(table: CapturedTable) -> Iterable[str]:
    """The triggers as they are."""
    return table.triggers.values()


def after_only(table: CapturedTable) -> Iterable[str]:
    """The negative control: what everybody writes first."""
    return [sql for name, sql in table.triggers.items() if name[-2] == "a"]


Choice = Callable[[CapturedTable], Iterable[str]]


def run(numbers: Iterable[int], choice: Choice = normal, *, ours_newest: bool = True) -> Tally:
    """Try the schemas of these numbers. `ours_newest`: capture was installed after the application made its triggers."""
    tally = Tally()
    for number in numbers:
        tally.add(_Trial(number, choice, ours_newest).run())
    return tally


class _Trial:
    """One schema with its writes."""

    def __init__(self, number: int, choice: Choice, ours_newest: bool) -> None:
        self.number = number
        self.ours_newest = ours_newest
        self.choice = choice
        self.dice = random.Random(number)
        self.conn = sqlite3.connect(":memory:", isolation_level=None)
        self.conn.setlimit(sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 6)
        self.tally = Tally()
        self.made: list[str] = []

    def run(self) -> Tally:
        try:
            if self._schema():
                self._writes()
        finally:
            self.conn.close()
        return self.tally

    def _do(self, sql: str) -> bool:
        try:
            self.conn.execute(sql)
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            return False
        self.made.append(sql)
        return True

    # -- schema

    def _schema(self) -> bool:
        dice = self.dice
        self.conn.execute(f"pragma recursive_triggers = {dice.random() < 0.3:d}")
        self.conn.execute(f"pragma foreign_keys = {dice.random() < 0.5:d}")
        for _ in range(4):
            if self._do(self._table("t")):
                break
        else:
            return False
        self._indexes("t")
        if dice.random() < 0.4:
            self._do(self._child())
            self._do("create table u(x, y unique)")
        if self.ours_newest:  # SQLite fires the newest first
            self._app_triggers()
        self._capture()
        if not self.ours_newest:
            self._app_triggers()
        self.tally.schemas = 1
        return True

    def _table(self, name: str) -> str:
        dice = self.dice
        names = dice.sample(NAMES[:7], dice.randint(2, 4))
        if dice.random() < 0.08:
            names += dice.sample(NAMES[7:], dice.randint(1, 3))
        kind = dice.choice(
            ("ipk", "ipk", "auto", "text", "composite", "composite", "loose", "none", "none", "wr", "wr", "desc")
        )
        columns = [self._column(n, names) for n in names]
        plain = [n for n in names if "generated" not in columns[names.index(n)]]
        rest: list[str] = []
        tail = ""
        if kind in ("ipk", "auto"):
            columns.insert(0, "id integer primary key" + (" autoincrement" if kind == "auto" else ""))
        elif kind == "desc":
            columns.insert(0, "id integer primary key desc not null")
        elif kind == "text":
            collate = dice.choice(COLLATIONS)
            columns.insert(
                0, f"id {dice.choice(('text', 'text', 'real', '', 'int'))} primary key not null collate {collate}"
            )
        elif kind == "loose":
            columns.insert(0, "id text primary key")
        elif kind in ("composite", "wr") and plain:
            key = dice.sample(plain, min(len(plain), dice.randint(1, 2)))
            if kind == "composite" and dice.random() < 0.7:  # else a key that admits NULL
                columns = [
                    c if n not in key or "not null" in c else c + " not null"
                    for n, c in zip(names, columns, strict=True)
                ]
            terms = ", ".join(q(n) + dice.choice(("", "", " desc", " collate nocase")) for n in key)
            rest.append(f"primary key ({terms}){self._clause()}")
            tail = " without rowid" if kind == "wr" else ""
        self.columns = (["id"] if len(columns) > len(names) else []) + names
        self.tally.shapes[kind] = self.tally.shapes.get(kind, 0) + 1
        if dice.random() < 0.4 and plain:
            some = dice.sample(plain, min(len(plain), dice.randint(1, 3)))
            rest.append(f"unique ({', '.join(map(q, some))}){self._clause()}")
        if dice.random() < 0.1:
            rest.append(f"check ({q(names[0])} <> 3)")
        return f"create table {q(name)}({', '.join(columns + rest)}){tail}"

    def _clause(self) -> str:
        return self.dice.choice(
            ("", "", "", " on conflict replace", " on conflict replace", " on conflict ignore", " on conflict fail")
        )

    def _column(self, name: str, names: list[str]) -> str:
        dice = self.dice
        text = f"{q(name)} {dice.choice(TYPES)}"
        if dice.random() < 0.12:
            one, two = (q(dice.choice(names)) for _ in "12")
            body = dice.choice(EXPRESSIONS).format(one, two)
            return f"{text} generated always as ({body}) {dice.choice(('virtual', 'stored'))}"
        if dice.random() < 0.35:
            text += f" collate {dice.choice(COLLATIONS)}"
        if dice.random() < 0.3:
            text += f" not null{self._clause()} default {dice.choice(DEFAULTS)}"
        elif dice.random() < 0.15:
            text += f" default {dice.choice(DEFAULTS)}"
        if dice.random() < 0.25:
            text += f" unique{self._clause()}"
        return text

    def _indexes(self, name: str) -> None:
        dice = self.dice
        for i in range(dice.randint(0, 3)):
            terms = []
            for _ in range(dice.randint(1, 2)):
                one, two = (q(dice.choice(self.columns)) for _ in "12")
                term = one if dice.random() < 0.5 else dice.choice(EXPRESSIONS).format(one, two)
                if dice.random() < 0.3 and "collate" not in term and "--" not in term:
                    term += f" collate {dice.choice(COLLATIONS)}"
                terms.append(term + dice.choice(("", "", " desc")))
            where = ""
            if dice.random() < 0.35:
                one, two = (q(dice.choice(self.columns)) for _ in "12")
                where = " where " + dice.choice(CONDITIONS).format(one, two)
            self._do(
                f"create {'unique ' if dice.random() < 0.85 else ''}index i{i} on {q(name)}({', '.join(terms)}){where}"
            )

    def _child(self) -> str:
        """A child whose foreign key cascades, over whatever key of `t` comes first."""
        parent = q(self.columns[0])
        action = self.dice.choice(("cascade", "set null", "set default"))
        return (
            f"create table child(n integer primary key, p default 1 references t({parent}) on update cascade on delete {action},"
            f" s unique, t)"
        )

    def _app_triggers(self) -> None:
        """Nested triggers: they write to other tables and to the table itself, with their own conflict clauses."""
        dice = self.dice
        if dice.random() < 0.6:
            return
        column = q(dice.choice(self.columns))
        bodies = (
            f"insert or replace into u(x, y) values (1, new.{column})",
            f"insert or ignore into u(y) values (new.{column})",
            f"update or replace u set y = new.{column} where x = 1",
            f"update or replace t set {column} = 'a' where {column} = 'b'",
            f"insert or replace into t({column}) values (2)",
            f"delete from t where {column} = new.{column} and 1 = 0",
            "insert or replace into child(s, t) values (1, 2)",
            f"delete from t where {column} = 3",
        )
        for i in range(dice.randint(1, 2)):
            event = dice.choice(("before insert", "after insert", "before update", "after update", "after delete"))
            body = dice.choice(bodies)
            if event.endswith("delete"):
                body = body.replace("new.", "old.")
            when = f" when (select count(*) from t) < 12 and {dice.randint(0, 1)} = {dice.randint(0, 1)}"
            self._do(f"create trigger app{i} {event} on t{when} begin {body}; end")

    def _capture(self) -> None:
        schema = read_schema(self.conn)
        usable = self.dice.random() < 0.8
        self.tables: list[tuple[SourceTable, CapturedTable]] = []
        self.conn.execute(f"create table {LOG}(n integer primary key, tb text not null, k1, k2, k3)")
        for table in schema.tables:
            if uncapturable(table, usable) is not None:
                self.tally.refused += 1
                continue
            made = captured_table(table, key_of(table, usable), schema.triggers)
            self.tally.marked += made.reconcile is not None
            for sql in self.choice(made):
                self.conn.execute(sql)
            self.tables.append((table, made))

    # -- writes

    def _writes(self) -> None:
        dice = self.dice
        self.conn.execute("begin")
        self._look()
        for step in range(dice.randint(40, 70)):
            if not self.conn.in_transaction:
                self.conn.execute("begin")
            back = dice.random() < 0.06
            if back:
                self.conn.execute("savepoint s")
            self._statement(self._insert() if step < 8 else self._write())
            if back and self.conn.in_transaction:
                with suppress(sqlite3.OperationalError):  # OR ROLLBACK ended it with the transaction
                    self.conn.execute("rollback to s")
                self._look()

    def _look(self) -> None:
        self.state = [self._rows(t, c) for t, c in self.tables]
        self.mark = int(self.conn.execute(f"select coalesce(max(n), 0) from {LOG}").fetchone()[0])

    def _statement(self, sql: str) -> None:
        self.tally.statements += 1
        total = self.conn.total_changes
        try:
            self.conn.execute(sql)
        except (sqlite3.OperationalError, sqlite3.IntegrityError):
            self.tally.failed += 1  # OR FAIL keeps what it did before
        if not self.conn.in_transaction:
            self._look()  # rows and log went back together
        elif self.conn.total_changes != total:
            before, mark = self.state, self.mark
            self._look()
            self._check(before, mark, sql)

    def _check(self, before: list[dict[tuple[str, ...], object]], mark: int, sql: str) -> None:
        logged = set(self.conn.execute(f"select tb, quote(k1), quote(k2), quote(k3) from {LOG} where n > ?", (mark,)))
        self.tally.logged += len(logged)
        for (table, captured), old, now in zip(self.tables, before, self.state, strict=True):
            self._compare(table, captured, old, now, logged, sql)

    def _compare(
        self, table: SourceTable, captured: CapturedTable, old: dict[tuple[str, ...], object],
        now: dict[tuple[str, ...], object], logged: set[tuple[str, ...]], sql: str,
    ) -> None:  # fmt: skip
        changed = {k for k in old.keys() | now.keys() if old.get(k) != now.get(k)}
        width = len(captured.key)
        seen = {row[1 : 1 + width] for row in logged if row[0] == table.name}
        missed = changed - seen
        self.tally.changed += len(changed)
        if not sql.startswith("delete"):
            self.tally.replaced += len(old.keys() - now.keys())
        if not missed:
            return
        if captured.reconcile is not None:
            self.tally.reconcile_missed += len(missed)
            return
        self.tally.missed += len(missed)
        if not self.tally.first:
            self.tally.first.append(f"schema {self.number}: {missed} of {table.name}\n" + "\n".join([*self.made, sql]))

    def _rows(self, table: SourceTable, captured: CapturedTable) -> dict[tuple[str, ...], object]:
        key = [f"quote({q(c)})" for c in captured.key]
        values = [f"quote({q(c.name)})" for c in table.columns]
        width = len(key)
        rows = self.conn.execute(f"select {', '.join(key + values)} from {q(table.name)}")
        return {row[:width]: row[width:] for row in rows}

    def _writable(self) -> list[str]:
        table = next((t for t, _ in self.tables if t.name == "t"), None)
        if table is None:
            return self.columns
        names = [c.name for c in table.columns if c.generated == "no"]
        return names + [table.rowid_name] * (table.rowid_name is not None)

    def _write(self) -> str:
        return self.dice.choice((self._insert, self._insert, self._update, self._update, self._upsert, self._delete, self._swap, self._many))()  # fmt: skip

    def _insert(self) -> str:
        dice = self.dice
        names = self._writable()
        some = dice.sample(names, dice.randint(1, len(names)))
        if dice.random() < 0.1 and self._has("child"):
            return (
                f"insert{dice.choice(CONFLICTS)} into child(p, s) values ({dice.choice(VALUES)}, {dice.choice(VALUES)})"
            )
        rows = ", ".join(
            "(" + ", ".join(dice.choice(VALUES) for _ in some) + ")" for _ in range(dice.choice((1, 1, 1, 2, 3)))
        )
        return f"insert{dice.choice(CONFLICTS)} into t({', '.join(map(q, some))}) values {rows}"

    def _has(self, name: str) -> bool:
        return any(t.name == name for t, _ in self.tables)

    def _update(self) -> str:
        dice = self.dice
        names = self._writable()
        some = dice.sample(names, dice.randint(1, min(2, len(names))))
        sets = ", ".join(
            f"{q(n)} = {dice.choice((dice.choice(VALUES), q(dice.choice(names)), q(n) + ' + 1'))}" for n in some
        )
        where = "" if dice.random() < 0.3 else f" where {q(dice.choice(names))} = {dice.choice(VALUES)}"
        return f"update{dice.choice(CONFLICTS)} t set {sets}{where}"

    def _upsert(self) -> str:
        dice = self.dice
        names = self._writable()
        one = q(dice.choice(names))
        what = (
            "do nothing"
            if dice.random() < 0.3
            else f"do update set {one} = {dice.choice((dice.choice(VALUES), 'excluded.' + one))}"
        )
        return f"{self._insert().replace(' or rollback', '')} on conflict {what}"

    def _delete(self) -> str:
        dice = self.dice
        return f"delete from t where {q(dice.choice(self._writable()))} = {dice.choice(VALUES)}"

    def _swap(self) -> str:
        """Two values of a column change places."""
        dice = self.dice
        name = q(dice.choice(self._writable()))
        one, two = dice.choice(VALUES[1:]), dice.choice(VALUES[1:])
        return f"update or replace t set {name} = case {name} when {one} then {two} else {one} end where {name} in ({one}, {two})"

    def _many(self) -> str:
        """REPLACE out of the table itself."""
        dice = self.dice
        names = self._writable()
        some = dice.sample(names, dice.randint(1, len(names)))
        values = ", ".join(dice.choice((q(n), dice.choice(VALUES))) for n in some)
        return f"replace into t({', '.join(map(q, some))}) select {values} from t limit 4"


def main() -> None:
    """Print the figures of so many schemas, as they are and with AFTER triggers only."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 15_000
    for title, choice in (("before and after", normal), ("after only", after_only)):
        tally = run(range(count), choice)
        found = tally.first
        tally.first = []
        print(title, vars(tally))
        if choice is normal:
            print(*found, sep="\n\n")


if __name__ == "__main__":
    main()
