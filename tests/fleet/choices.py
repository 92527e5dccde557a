"""What a writer does next: random transactions over its own rows, made so that conflicts of every kind are common."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.fleet.model import Action, Change, Conflict, Drop, Mode, Put, Simple, State, Undone
from tests.fleet.schema import OWNED, SPAN, Key, Row

Maker = Callable[[State, int], list[Action]]
"""From a state and the transaction's number to what is done next."""

WORDS = ("amber", "häuser", "日本", "O'Neill", 'quo"te', "", "back\\slash", "new\nline", "x" * 300)
PUT_MODES = tuple(Mode)
CHANGE_MODES = (Mode.PLAIN, Mode.REPLACE, Mode.IGNORE, Mode.FAIL, Mode.ABORT)
LIMIT = 40
"""Rows of a table that a writer keeps: enough for conflicts, few enough to be read back often."""


class Choices:
    """Draws actions for writer `w`. `classes`: untyped columns get numbers as well as texts (SQLite only)."""

    def __init__(self, w: int, seed: int) -> None:
        self.w = w
        self.random = random.Random(f"{seed}-{w}")
        self.classes = True
        self._numbers = 0

    def transaction(self) -> list[Maker]:
        """The steps of a transaction; each is asked in turn for its actions on the state the steps before it left."""
        makers = (self._put, self._put, self._put, self._change, self._change, self._move, self._drop, self._swap, self._undone)  # fmt: skip
        return self.random.choices(makers, k=self.random.choice((1, 1, 2, 3)))

    def note(self) -> str:
        """Some text."""
        return f"{self.random.choice(WORDS)} {self.random.randrange(1000)}"

    def _put(self, state: State, v: int) -> list[Action]:
        table = self.random.choice(list(OWNED))
        if table == "line" and not state.tables["item"]:
            table = "item"
        modes = [m for m in PUT_MODES if not (table == "fold" and m is Mode.UPSERT)]
        mode = self.random.choice(modes)
        if mode is Mode.ROLLBACK and self.random.random() < 0.7:
            mode = Mode.PLAIN  # most transactions are to survive
        if len(state.tables[table]) > LIMIT:
            return self._drop(state, v, table)
        count = self.random.choice((1, 1, 2, 4))
        return [Put(table=table, rows=tuple(self._row(table, state, v, mode) for _ in range(count)), mode=mode)]

    def _change(self, state: State, v: int) -> list[Action]:
        """An UPDATE of columns that no uniqueness rule knows, of several rows at once."""
        table, keys = self._some(state, 4)
        if not keys:
            return self._put(state, v)
        row = self._row(table, state, v, Mode.PLAIN)
        free = {"item": ("state", "price", "live", "raw", "ratio", "day"), "line": ("note",), "code": ("val",), "fold": ("body",), "loose": ("body",)}  # fmt: skip
        wanted = free.get(table, ())
        changes = {c: row[c] for c in wanted if self.random.random() < 0.6}
        return [Change(table=table, keys=keys, changes={"v": v} | changes)]

    def _move(self, state: State, v: int) -> list[Action]:
        """An UPDATE of one row's key or of a unique column."""
        table, keys = self._some(state, 1)
        columns = {"item": ("id", "handle"), "tag": ("name", "rank", "slot", "active"), "code": ("id", "code"), "pair": ("a", "b", "swap"),
                   "fold": ("name",), "line": ("n",)}  # fmt: skip
        if not keys or table not in columns:
            return self._put(state, v)
        row = self._row(table, state, v, Mode.PLAIN)
        changes = {"v": v} | {c: row[c] for c in self.random.sample(columns[table], self.random.choice((1, 1, len(columns[table]))))}  # fmt: skip
        return [Change(table=table, keys=keys, changes=changes, mode=self.random.choice(CHANGE_MODES))]

    def _drop(self, state: State, _v: int, table: str | None = None) -> list[Action]:
        table, keys = self._some(state, 3, table)
        return [Drop(table=table, keys=keys)] if keys else []

    def _swap(self, state: State, v: int) -> list[Action]:
        """Two rows exchange a unique value within one transaction."""
        table, column = self.random.choice((("tag", "rank"), ("pair", "swap"), ("code", "code")))
        rows = state.tables[table]
        if len(rows) < 2:
            return self._put(state, v)
        one, two = self.random.sample(sorted(rows), 2)
        spare = f"w{self.w}-spare" if column == "code" else (self.w + 1) * SPAN - 1
        return [
            Change(table=table, keys=(key,), changes={"v": v, column: value})
            for key, value in ((one, spare), (two, rows[one][column]), (one, rows[two][column]))
        ]

    def _undone(self, state: State, v: int) -> list[Action]:
        inner: list[Simple] = []
        trial = state.copy()
        for make in (self._put, self._drop, self._change):
            for action in make(trial, v):
                if isinstance(action, Undone) or (
                    isinstance(action, Put) and action.mode in (Mode.ROLLBACK, Mode.FAIL)
                ):
                    continue
                if not _fits(trial, action):
                    continue
                inner.append(action)
        return [Undone(actions=tuple(inner))] if inner else []

    def _some(self, state: State, most: int, table: str | None = None) -> tuple[str, tuple[Key, ...]]:
        table = table or self.random.choice([n for n, rows in state.tables.items() if rows] or ["item"])
        keys = sorted(state.tables[table])
        return table, tuple(self.random.sample(keys, min(len(keys), self.random.randint(1, most))))

    def _row(self, table: str, state: State, v: int, mode: Mode) -> Row:
        draw, w = self.random, self.w
        base = w * SPAN
        row: Row = {"w": w, "v": v}
        match table:
            case "item":
                price = draw.randrange(100_000) / 4
                row |= {"id": base + draw.randint(1, 40), "handle": self._name(30), "state": draw.choice(("new", "paid", "sent")),
                        "price": int(price) if price.is_integer() else price, "live": draw.randrange(2),
                        "made": f"2025-{draw.randint(1, 12):02}-{draw.randint(1, 28):02} {draw.randrange(24):02}:{draw.randrange(60):02}:{draw.randrange(60):02}",
                        "day": draw.choice((None, f"2025-01-{draw.randint(1, 31):02}")), "raw": draw.choice((None, b"", draw.randbytes(40))),
                        "ratio": draw.choice((None, draw.random(), -draw.random() * 1e300, 5e-324, 0.1 + 0.2))}  # fmt: skip
            case "line":
                items = sorted(state.tables["item"])
                row |= {"item": draw.choice(items)[0] if items else 0, "n": draw.randint(1, 4), "note": draw.choice((None, self.note()))}  # fmt: skip
            case "tag":
                rank = None if mode is Mode.REPLACE and draw.random() < 0.3 else draw.randrange(12)
                row |= {"name": self._name(40), "rank": rank, "slot": draw.choice((None, base + draw.randrange(12))), "active": draw.randrange(2)}  # fmt: skip
            case "code":
                row |= {"id": base + draw.randint(1, 40), "code": self._name(30), "val": self._value()}
            case "pair":
                row |= {"a": self._name(8), "b": draw.randrange(5), "swap": base + draw.randrange(40)}
            case "fold":
                row |= {"name": self._name(30), "body": draw.choice((None, self.note()))}
            case "loose":
                self._numbers += 1
                row |= {"n": self._numbers, "body": draw.choice((None, self.note()))}
        return row

    def _name(self, most: int) -> str:
        text = f"w{self.w}-n{self.random.randrange(most)}"
        return text if self.random.random() < 0.7 else text.upper()

    def _value(self) -> object:
        number = self.random.randrange(1000)
        return self.random.choice((f"t{number}", None, *((number, number + 0.5) if self.classes else ())))


def _fits(state: State, action: Simple) -> bool:
    """Whether the statement works on the state; if so it has been carried out."""
    try:
        state.apply(action)
    except Conflict:
        return False
    return True
