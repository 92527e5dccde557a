"""One table on its way back: its dirty keys are deleted first, then their present rows written, so that values may swap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stepflow_tui.engine.bulk.values import Refusal, Value
from stepflow_tui.engine.live.reverse_file import LiteKey, LiteRow, LiteSide
from stepflow_tui.engine.live.reverse_job import ReverseJob
from stepflow_tui.engine.live.reverse_values import Inverse, Sent, inverse, text_of_key
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.postgres import reverse_rows
from stepflow_tui.engine.postgres.reverse_rows import Blocker, Key

if TYPE_CHECKING:
    import asyncpg

CHUNK_ROWS = 1_000
"""Rows that are read from the target and written at once."""

_PLAIN_KEYS = frozenset({Kind.INTEGER, Kind.TEXT, Kind.BLOB})
_MANY = (Kind.MIXED_TEXT, Kind.OTHER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of one table's keys."""

    rows: int
    blockers: tuple[Blocker, ...]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """A row of the target, the key SQLite finds it by, what SQLite held for it, and what it is to hold."""

    key: Key
    lite_key: LiteKey
    sent: tuple[Sent | None, ...]
    values: LiteRow


class TableBack:
    """Brings rows of one table over."""

    def __init__(self, table: TablePlan, job: ReverseJob) -> None:
        self._table = table
        self._mask = job.mask
        self._columns = [inverse(c, replace=job.replace) for c in table.copied]
        places = {c.source: i for i, c in enumerate(table.copied)}
        self._key = [self._columns[places[name]] for name in table.live_key]
        self._notes = any(c.column.type.kind is Kind.MIXED_TEXT for c in self._columns)
        self._plain_key = all(c.column.type.kind in _PLAIN_KEYS for c in self._key)

    def shown(self, blocker: Blocker) -> Blocker:
        """A blocker as it may be shown."""
        named = self._mask.shown_key(self._table.source, dict(zip(self._table.live_key, blocker.key, strict=True)))
        return replace(blocker, key=tuple(str(v) for v in named.values()))

    async def bring(self, conn: asyncpg.Connection, file: LiteSide, keys: frozenset[Key], *, whole: bool) -> Brought:
        """Make the file hold what the target's snapshot holds for these keys.

        Args:
            conn: in the step's snapshot.
            keys: that may have changed.
            whole: all rows, whatever the keys are.
        """
        if whole:
            await file.empty(self._table)
            keys = keys | await reverse_rows.keys_of(conn, self._table)
            held: dict[Key, tuple[LiteKey, LiteRow | None]] = {}
        else:
            held = await self._take_off(file, sorted(keys))
        rows, blockers = 0, []
        for part in _parts(sorted(keys)):
            sent = await reverse_rows.rows_of(conn, self._table, part)
            arrivals, refused = await self._convert(conn, sent, held)
            refused += await self._write(conn, file, arrivals)
            blockers += refused
            rows += len(sent) - len(refused)
        return Brought(rows=rows, blockers=tuple(blockers))

    async def _take_off(self, file: LiteSide, keys: Sequence[Key]) -> dict[Key, tuple[LiteKey, LiteRow | None]]:
        stored = await self._stored_keys(file, keys)
        there = [key for key in keys if key in stored]
        rows = await file.take_off(self._table, [stored[key] for key in there])
        return {key: (stored[key], row) for key, row in zip(there, rows, strict=True)}

    async def _stored_keys(self, file: LiteSide, keys: Sequence[Key]) -> dict[Key, LiteKey]:
        """How SQLite writes these keys. Numbers, texts and bytes have one form; a key of another type (WITHOUT ROWID tables
        may have any) is looked for among all that the table holds."""
        made = {}
        for key in keys:
            try:
                made[key] = self._lite_key(key)
            except Refusal:
                continue  # no row of SQLite can have it
        if self._plain_key:
            return made
        forms = {self._key_form(key): key for key in keys}
        for lite in await file.all_keys(self._table):
            try:
                form = tuple(c.form(c.sent(v)) for c, v in zip(self._key, lite, strict=True))
            except Refusal:
                continue
            if form in forms:
                made[forms[form]] = lite
        return made

    def _lite_key(self, key: Key) -> LiteKey:
        return tuple(c.decode(text_of_key(c.column, text)) for c, text in zip(self._key, key, strict=True))

    def _key_form(self, key: Key) -> tuple[object, ...]:
        return tuple(c.form(text_of_key(c.column, text)) for c, text in zip(self._key, key, strict=True))

    async def _convert(
        self,
        conn: asyncpg.Connection,
        sent: dict[Key, tuple[Sent | None, ...]],
        held: dict[Key, tuple[LiteKey, LiteRow | None]],
    ) -> tuple[list[_Arrival], list[Blocker]]:
        """The value that stood in the row before is kept where the copy would make this very target value of it."""
        before = {key: held[key][1] if key in held else None for key in sent}
        kept = await self._kept(conn, [(before[key], row) for key, row in sent.items()])
        notes = await reverse_rows.storage_classes(conn, self._table, list(sent)) if self._notes and sent else {}
        arrivals, refused = [], []
        for (key, row), same in zip(sent.items(), kept, strict=True):
            values: list[Value | None] = []
            old = before[key]
            try:
                for i, column in enumerate(self._columns):
                    if same[i] and old is not None:
                        values.append(old[i])
                    else:
                        values.append(self._new(column, row[i], notes.get((key, column.column.source))))
                arrivals.append(_Arrival(key, self._key_in(values), row, tuple(values)))
            except Refusal as refusal:
                refused.append(
                    self._blocker(
                        key, self._columns[len(values)] if len(values) < len(self._columns) else None, refusal.reason
                    )
                )
        return arrivals, refused

    def _new(self, column: Inverse, sent: Sent | None, note: str | None) -> Value | None:
        if sent is None and column.column.source == self._table.rowid_alias:
            raise Refusal("NULL in the INTEGER PRIMARY KEY, for which SQLite would make up a number")
        return column.new(sent, note)

    def _key_in(self, values: Sequence[Value | None]) -> LiteKey:
        parts = [values[self._columns.index(c)] for c in self._key]
        if any(v is None for v in parts):
            raise Refusal("NULL in the key")
        return tuple(v for v in parts if v is not None)

    async def _kept(
        self, conn: asyncpg.Connection, pairs: Sequence[tuple[LiteRow | None, tuple[Sent | None, ...]]]
    ) -> list[list[bool]]:
        """For every pair of a SQLite row and a target row: which columns hold the same value."""
        answers = [[False] * len(self._columns) for _ in pairs]
        for i, column in enumerate(self._columns):
            ask: list[int] = []
            for n, (old, row) in enumerate(pairs):
                if old is None:
                    continue
                answers[n][i] = column.same(old[i], row[i])
                if column.asks_server and not answers[n][i] and old[i] is not None and row[i] is not None:
                    ask.append(n)
            texts = [(n, text) for n in ask if (text := _sent(column, pairs[n][0], i)) is not None]
            if texts:
                written = await reverse_rows.canonical(conn, column.column, [text for _, text in texts])
                for (n, _), text in zip(texts, written, strict=True):
                    answers[n][i] = text is not None and text == pairs[n][1][i]
        return answers

    async def _write(self, conn: asyncpg.Connection, file: LiteSide, arrivals: Sequence[_Arrival]) -> list[Blocker]:
        """Insert, then read back: a row counts only if the copy would make the target's row of what SQLite stored."""
        answers = await file.put(self._table, [a.values for a in arrivals])
        refused = [self._blocker(a.key, None, why) for a, why in zip(arrivals, answers, strict=True) if why is not None]
        stored = [a for a, why in zip(arrivals, answers, strict=True) if why is None]
        back = await file.read(self._table, [a.lite_key for a in stored])
        kept = await self._kept(conn, [(row, a.sent) for row, a in zip(back, stored, strict=True)])
        wrong = []
        for arrival, same in zip(stored, kept, strict=True):
            places = [i for i, ok in enumerate(same) if not ok and not self._columns[i].column.type.lossy]
            if places:
                wrong.append(arrival)
                refused.append(self._blocker(arrival.key, self._columns[places[0]], "SQLite would store another value"))
        if wrong:
            await file.take_off(self._table, [a.lite_key for a in wrong])
        return refused

    def _blocker(self, key: Key, column: Inverse | None, reason: str) -> Blocker:
        return Blocker(
            table=self._table.source, key=key, column=column.column.source if column else None, reason=reason
        )


def _sent(column: Inverse, row: LiteRow | None, i: int) -> str | None:
    value = row[i] if row is not None else None
    if value is None:
        return None
    try:
        sent = column.sent(value)
    except Refusal:
        return None
    return sent if isinstance(sent, str) else None


def _parts(keys: Sequence[Key]) -> Iterator[Sequence[Key]]:
    for start in range(0, len(keys), CHUNK_ROWS):
        yield keys[start : start + CHUNK_ROWS]
