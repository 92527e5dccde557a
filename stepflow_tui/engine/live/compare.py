"""Compares rows of one live table: slices at one common point, then the suspects again at the next, by their keys alone.

What a slice finds is a suspicion only: it is counted when the same row, looked up by its key on both sides, differs at a
later common point.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from stepflow_tui.engine.live.compare_places import Form, Place, Row
from stepflow_tui.engine.live.compare_sides import TableSides, in_thread
from stepflow_tui.engine.live.compare_tally import PREFIX, Suspects, Tally, row_hash
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.live.rules import TableRules
from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Scalar, TableVerdict, Truth, Verified
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.verify.expected import Value, Wrong, expected_column
from stepflow_tui.engine.verify.forms import Form as ValueForm
from stepflow_tui.engine.verify.forms import form_of
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.naming import Content, Differences, Found
from stepflow_tui.engine.verify.printed import source_scalar, target_scalar
from stepflow_tui.engine.verify.resolve import Rejected, expect
from stepflow_tui.engine.verify.sides import open_target

if TYPE_CHECKING:
    import asyncpg

_READ_LOCAL = "; ".join(
    f"set local {name} to '{value}'"
    for name, value in {
        "enable_seqscan": "off",  # every range and every key goes through its index
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
        "datestyle": "ISO, YMD",
        "timezone": "UTC",
        "extra_float_digits": "3",
        "bytea_output": "hex",
    }.items()
)


async def settle(point: CommonPoint) -> None:
    """Pin how the target's transaction reads, until its end."""
    await point.target.execute(_READ_LOCAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """Rows read by key at one point."""

    rows: list[Row]
    contents: list[Content]
    found: list[Found]
    quarantined: Mapping[tuple[str, ...], str]


class Scratch:
    """A connection outside any snapshot: PostgreSQL casts expected texts there, and may refuse without spoiling one."""

    def __init__(self, job: VerifyJob) -> None:
        self._job = job
        self._connection: asyncpg.Connection | None = None
        self._lock = asyncio.Lock()

    async def expect(self, columns: Sequence[ColumnPlan], rows: Sequence[Sequence[Value]]) -> list[Content]:
        """Expected contents of source rows, of which some columns are cast by PostgreSQL."""
        async with self._lock:
            if self._connection is None or self._connection.is_closed():
                self._connection = await open_target(self._job)
            return await expect(self._connection, columns, rows, self._job.on_bad_value)

    async def close(self) -> None:
        """Close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close(timeout=5)


class TableComparison:
    """One table: how it is read, what its rows must be, and how differences are named.

    Args:
        job: what is verified.
        table: its plan.
        run: the run's id, under which the tail quarantines rows.
        rules: what is not compared exactly.
        scratch: where PostgreSQL casts texts.
    """

    def __init__(self, job: VerifyJob, table: TablePlan, run: str, rules: TableRules, scratch: Scratch) -> None:
        by_name = {c.source: c for c in table.columns}
        key = tuple(by_name[name] for name in table.live_key)
        others = (c for c in table.columns if c not in key and c.source not in rules.excluded)
        self.job, self.table, self.rules = job, table, rules
        self.sides = TableSides(job, table, (*key, *others))
        self._run = run
        self._scratch = scratch
        self._rejected = Rejected(job, table)
        self._casts = any(form_of(c) is ValueForm.NORMAL for c in self.sides.columns)
        self._cast_keys = any(form_of(c) is ValueForm.NORMAL for c in key)
        self._certain = all(c.type.kind is Kind.INTEGER for c in key) or (
            self.sides.order is not None and job.on_bad_value is not BadValue.REPLACE
        )

    async def contents(self, rows: Sequence[Row]) -> list[Content]:
        """What rows of the source must have become."""
        return await self._expect(self.sides.columns, rows, casts=self._casts)

    async def forms(self, places: Sequence[Place]) -> list[Content]:
        """What keys of the source must have become."""
        return await self._expect(self.sides.key_columns, places, casts=self._cast_keys)

    async def _expect(self, columns: Sequence[ColumnPlan], rows: Sequence[Row], *, casts: bool) -> list[Content]:
        if not rows:
            return []
        if casts:
            return await self._scratch.expect(columns, rows)
        return await asyncio.to_thread(_converted, columns, rows, self.job.on_bad_value)

    def sift(
        self, rows: Sequence[Row], contents: Sequence[Content], found: Sequence[Found], tally: Tally, *, ranged: bool
    ) -> Suspects:
        """Pair the rows of a slice and count them. Pure computation: may run in a thread.

        Args:
            rows, contents: of the source, and what they must have become.
            found: of the target.
            tally: counts them.
            ranged: both sides of one key range, so a row that only the target has is a suspect too.
        """
        width = self.sides.width
        suspects = Suspects()
        left: dict[Found, Found] = {}
        for held in found:
            if held[:width] in left:  # the same key twice: nothing else would miss it
                suspects.forms.append(held[:width])
            left[held[:width]] = held
        for row, content in zip(rows, contents, strict=True):
            other = left.pop(cast(Found, content[:width]), None)
            hashed = row_hash(content)
            tally.source.add(hashed)
            if other is not None:
                tally.target.add(hashed if other == content else row_hash(other))
            if other == content:
                continue
            if other is not None and self.rules.within(self.sides.columns, content, other) == other:
                tally.tolerated += 1
            else:
                suspects.places.append(row[:width])
        if ranged:
            for form, held in left.items():
                tally.target.add(row_hash(held))
                suspects.forms.append(form)
        return suspects

    async def look(self, point: CommonPoint, suspects: Suspects) -> Looked:
        """Read these rows by key on both sides. No range and no order is involved."""
        sides = self.sides
        keys = [*suspects.places, *(k for f in suspects.forms for k in sides.candidates(f))]
        rows = await in_thread(point.source, lambda: sides.by_keys(point.source, keys))
        contents = await self.contents(rows)
        asked = await self.forms(suspects.places)
        wanted = {cast(Form, f) for f in asked if _held(f)} | set(suspects.forms)
        if not self._certain:
            known = {c[: sides.width] for c in contents}
            await self._sweep(point, wanted - cast(set[Form], known), rows, contents)
        refused = {p for p, f in zip(suspects.places, asked, strict=True) if not _held(f)}
        kept = [n for n, c in enumerate(contents) if c[: sides.width] in wanted or rows[n][: sides.width] in refused]
        return Looked(
            rows=[rows[n] for n in kept],
            contents=[contents[n] for n in kept],
            found=await sides.rows_by_keys(point.target, [f for f in wanted if None not in f]),
            quarantined=await self.quarantine(point) if suspects.places else {},
        )

    async def _sweep(self, point: CommonPoint, wanted: set[Form], rows: list[Row], contents: list[Content]) -> None:
        """Look for target keys among all rows of the source: their source form can't be told from them."""
        pages = self.sides.all_rows(point.source)
        while wanted:
            page = await in_thread(point.source, lambda: next(pages, None))
            if page is None:
                return
            forms = await self.forms([row[: self.sides.width] for row in page])
            hits = [row for row, form in zip(page, forms, strict=True) if form in wanted]
            rows += hits
            contents += await self.contents(hits)
            wanted = wanted - {cast(Form, c[: self.sides.width]) for c in contents}

    async def quarantine(self, point: CommonPoint) -> dict[tuple[str, ...], str]:
        """Rows the tail could not apply: key as the quarantine shows it → why."""
        if await point.target.fetchval("select to_regclass('_stepflow.poison')") is None:
            return {}
        found = await point.target.fetch(
            "select k, reason from _stepflow.poison where run=$1 and tb=$2", self._run, self.table.source
        )
        return {tuple(row[0]): row[1] for row in found}

    def judge(self, looked: Looked, differences: Differences, tally: Tally) -> int:
        """Name what differs; returns the number of rows that do. Quarantined and rejected rows are counted apart."""
        width = self.sides.width
        before = differences.rows + len(tally.refused)
        left: dict[Found, list[Found]] = {}
        for held in looked.found:
            left.setdefault(held[:width], []).append(held)
        for row, content in zip(looked.rows, looked.contents, strict=True):
            others = left.get(cast(Found, content[:width]), [])
            key = {c.source: source_scalar(v) for c, v in zip(self.sides.key_columns, row, strict=False)}
            if others:
                other = others.pop(0)
                differences.changed(key, row, self.rules.within(self.sides.columns, content, other), other)
            elif (why := self._refused(row, looked.quarantined)) is not None:
                tally.refused.append(self._quarantined(key, why))
            else:
                differences.missing(key, row, content)
        for held in (h for others in left.values() for h in others):
            differences.surplus(self.target_key(held), held)
        return differences.rows + len(tally.refused) - before

    def target_key(self, held: Found) -> dict[str, Scalar]:
        """The key of a target row, as the source most likely wrote it."""
        return {c.source: target_scalar(v, c) for c, v in zip(self.sides.key_columns, held, strict=False)}

    def _refused(self, row: Row, quarantined: Mapping[tuple[str, ...], str]) -> str | None:
        """Why the target is known not to hold a row: the tail quarantined it, or the copy refused it."""
        mask, table = self.job.mask, self.table.source
        values = {c.source: source_scalar(v) for c, v in zip(self.sides.columns, row, strict=True)}
        shown = tuple(_quarantine_text(mask.shown(table, name, values[name])) for name in self.table.live_key)
        if shown in quarantined:
            return f"quarantined: {quarantined[shown]}"
        return "rejected by the copy" if self._rejected and values in self._rejected else None

    def _quarantined(self, key: dict[str, Scalar], why: str) -> Discrepancy:
        mask, table = self.job.mask, self.table.source
        hidden = mask.covers(table, None)
        return Discrepancy(
            table=table,
            key=mask.shown_key(table, key),
            column=None,
            cls=DiffClass.MISSING,
            source="",
            target=None,
            cause=why,
            truth=Truth(key=key, repair_sql="") if hidden else None,
        )

    def new_differences(self, named: int | None = None) -> Differences:
        """An empty collection for this table."""
        limit = self.job.named if named is None else named
        return Differences(self.table, self.sides.columns, self.table.live_key, limit, self.job.mask)

    def verdict(self, tally: Tally, differences: Differences, *, poisoned: int, as_of_ms: int) -> TableVerdict:
        """The verdict: equal only if nothing is missing, extra, different, rejected or quarantined."""
        rejected = max(len(tally.refused), poisoned)
        count = differences.rows
        ours, theirs = tally.source.digest, tally.target.digest
        if (count or rejected) and ours == theirs:
            ours = PREFIX + hashlib.sha256(f"{ours} differs".encode()).hexdigest()
        return TableVerdict(
            table=self.table.source,
            verified=Verified.DIFFERENT if count or rejected else Verified.EQUAL,
            reason=self._reason(count, rejected, tally.tolerated),
            source_rows=tally.source.rows,
            target_rows=tally.target.rows + tally.extra,
            rejected_rows=rejected,
            differences=count,
            digest_source=ours,
            digest_target=theirs,
            as_of_ms=as_of_ms,
            seconds=round(tally.seconds, 3),
            discrepancies=named(differences.finish()),
        )

    def _reason(self, count: int, rejected: int, tolerated: int) -> str:
        parts = []
        if count:
            parts.append(f"{count} differences")
        if rejected:
            parts.append(f"{rejected} rows were rejected or quarantined")
        if self.rules.not_proven:
            parts.append(self.rules.not_proven)
        if tolerated:
            parts.append(f"{tolerated} rows differ within the tolerance")
        return "; ".join(parts)


def named(found: Iterable[Discrepancy]) -> tuple[Discrepancy, ...]:
    """Differences without SQL that would repair them: a live target is repaired by the tail alone, which reads the row anew."""
    return tuple(
        replace(d, repair_sql="", truth=None if d.truth is None else Truth(key=d.truth.key, repair_sql=""))
        for d in found
    )


def _converted(columns: Sequence[ColumnPlan], rows: Sequence[Row], bad: BadValue) -> list[Content]:
    return list(zip(*(expected_column([r[n] for r in rows], c, bad) for n, c in enumerate(columns)), strict=True))


def _held(form: Content) -> bool:
    return not any(isinstance(v, Wrong) for v in form)


def _quarantine_text(value: Scalar) -> str:
    """A key value as the quarantine shows it: PostgreSQL's text can't hold a NUL character."""
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    return value.replace("\x00", "\\0") if isinstance(value, str) else repr(value)
