"""The continuous verification of a live run: walks all tables again and again while writes go on, and repairs nothing.

Every slice is compared at a common point of its own, where the target holds exactly the source's snapshot. What differs is
looked up by its key at the next point, and counted only if it still does. Levels: a live run is verified value by value
whatever its level; `comprehensive` adds the catalog, which does not belong here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from stepflow_tui.engine.bulk.values import BadText
from stepflow_tui.engine.errors import StepFailed, StepFlowError, TargetConnectionError
from stepflow_tui.engine.live.compare import Scratch, TableComparison, named, settle
from stepflow_tui.engine.live.compare_sides import check_log, in_thread
from stepflow_tui.engine.live.compare_tally import Suspects, Tally
from stepflow_tui.engine.live.invariants import ask
from stepflow_tui.engine.live.points import CommonPoint, CommonPoints
from stepflow_tui.engine.live.rules import NO_RULES, table_rules
from stepflow_tui.engine.live.verifier_pass import Pass, sifted
from stepflow_tui.engine.live.verifier_state import FLAT_OUT, Clean, Gauge, OnPass, Pace, PassResult, VerifierState
from stepflow_tui.engine.live.verifier_walk import TableWalk
from stepflow_tui.engine.model.clock import Clock
from stepflow_tui.engine.model.config import Invariant, VerifyRule
from stepflow_tui.engine.model.control import Control, FreeRunning
from stepflow_tui.engine.model.discrepancy import Discrepancy, Scalar, TableVerdict, Verified
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.sensitive import hidden_names
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.verify.expected import LoneText, Value
from stepflow_tui.engine.verify.job import VerifyJob

_KEYS = 1_000
_NO_LIMIT = 1 << 62
_PASSING = ("source_busy", "source_locked")


class LiveVerifier:
    """Compares both sides of a live run. One instance per run; its passes and comparisons by key may overlap in time.

    Args:
        job: what to verify: `source` the living file, `tables` with a `live_key`, facts, rejects, mask, utf16.
        points: gives common points (the tail).
        run: the run's id.
        clock: stamps verdicts.
        rules, invariants: of `verify` in the config.
        reconcile: source table → why its log may miss keys. They are left to `compare_whole` under the fence.
        control: looked at between slices.
        pace: how hard `run` works.
        gauge: takes the state after every slice.
        on_pass: takes the result of every pass that `run` makes.

    Raises:
        UsageError: rules that can't be kept.
    """

    def __init__(
        self,
        job: VerifyJob,
        points: CommonPoints,
        *,
        run: str,
        clock: Clock,
        rules: Mapping[str, VerifyRule] | None = None,
        invariants: Sequence[Invariant] = (),
        reconcile: Mapping[str, str] | None = None,
        control: Control | None = None,
        pace: Pace | None = None,
        gauge: Gauge | None = None,
        on_pass: OnPass | None = None,
    ) -> None:
        self._job = job
        self._points = points
        self._clock = clock
        self._invariants = tuple(invariants)
        self._reconcile = dict(reconcile or {})
        self._control = control or FreeRunning()
        self._pace = pace or Pace()
        self._gauge = gauge
        self._on_pass = on_pass
        self._scratch = Scratch(job)
        self._run = run
        self._rules = table_rules(rules or {}, job.tables)
        self._comparisons: dict[str, TableComparison] = {}
        self.state = VerifierState()
        self.clean: Clean | None = None
        self.last: PassResult | None = None

    async def close(self) -> None:
        """Close what was opened."""
        await self._scratch.close()

    # ---- continuous

    async def run(self) -> None:
        """Walk the tables until cancelled, at the configured pace.

        Raises:
            Stopping: by the control.
            StepFlowError: a side can't be read, after several tries; "could not compare" is never a verdict.
        """
        failed = 0
        try:
            while True:
                try:
                    result = await self.one_pass(self._pace)
                except StepFlowError as error:
                    failed += 1
                    if failed >= self._pace.tries or not _passes(error):
                        raise
                    await self._clock.sleep(self._pace.retry_seconds)
                    continue
                failed = 0
                if self._on_pass is not None:
                    await self._on_pass(result)
                await self._clock.sleep(self._pace.rest_seconds)
        finally:
            await asyncio.shield(self.close())

    async def one_pass(self, pace: Pace = FLAT_OUT) -> PassResult:
        """Walk all tables once.

        Raises:
            Stopping: by the control.
            StepFlowError: a side can't be read.
        """
        hidden = hidden_names(self._job.mask, *self._job.tables)
        with (
            sqlite_errors("The verification of the source"),
            pg_errors("verify the live tables", self._job.target, hidden),
        ):
            return await Pass(self, pace).walk()

    def finished(self, result: PassResult, repairs: int) -> None:
        """Take the result of a pass; `repairs` is how many there were when it began."""
        self.last = result
        clean = result.clean and repairs == self.state.repairs
        self.clean = Clean(from_n=result.from_n, to_n=result.to_n, at_ms=self._clock.now_ms()) if clean else None
        self.show(passes=self.state.passes + 1, differing=result.differing)

    def doubt(self) -> None:
        """A row differs: no earlier pass counts as clean any more."""
        self.clean = None

    def show(self, **changes: Any) -> None:
        """Change the state and tell whoever listens."""
        at, w = (self.clean.at_ms, self.clean.from_n) if self.clean else (None, None)
        self.state = replace(self.state, clean_at=at, clean_w=w, **changes)
        if self._gauge is not None:
            self._gauge(self.state)

    # ---- at a given point

    async def compare_keys(
        self, point: CommonPoint, table: str, keys: Iterable[Sequence[Value | str | BadText]]
    ) -> list[Discrepancy]:
        """Compare the rows under these keys, exactly, at this point; every row that differs is named.

        Args:
            point: a common point; under the fence the source can't move any more.
            table: source table.
            keys: values of `live_key` as the source stores them (TEXT as `Text`, `str` or `BadText`).
        """
        comparison = await self._comparison(self._plan(table))
        tally, differences = Tally(), comparison.new_differences(_NO_LIMIT)
        places = list(dict.fromkeys(tuple(_stored(v) for v in key) for key in keys))
        await settle(point)
        for start in range(0, len(places), _KEYS):
            looked = await comparison.look(point, Suspects(places=places[start : start + _KEYS]))
            comparison.judge(looked, differences, tally)
        return [*named(differences.finish()), *tally.refused]

    async def compare_target_keys(
        self, point: CommonPoint, table: str, keys: Sequence[Sequence[str]]
    ) -> list[Discrepancy]:
        """`compare_keys` from the target's side: keys in the text form that the reverse log writes."""
        comparison = await self._comparison(self._plan(table))
        tally, differences = Tally(), comparison.new_differences(_NO_LIMIT)
        await settle(point)
        for start in range(0, len(keys), _KEYS):
            forms = await comparison.sides.forms_of(point.target, keys[start : start + _KEYS])
            looked = await comparison.look(point, Suspects(forms=list(dict.fromkeys(forms))))
            comparison.judge(looked, differences, tally)
        return [*named(differences.finish()), *tally.refused]

    async def compare_touched(
        self, point: CommonPoint, touched: Mapping[str, Iterable[Sequence[Value | str | BadText]]]
    ) -> list[Discrepancy]:
        """`compare_keys` for several tables, such as everything logged since the newest clean pass began."""
        found: list[Discrepancy] = []
        for table, keys in touched.items():
            found += await self.compare_keys(point, table, keys)
        return found

    async def compare_logged(
        self, point: CommonPoint, after: int, most: int = _NO_LIMIT
    ) -> tuple[int, list[Discrepancy]]:
        """Compare the rows that were logged after an entry, as they are at this point.

        The keys are read from the point's own snapshot: rows logged between a look at the log and the point can't be missed.

        Args:
            point: a common point.
            after: the newest entry up to which everything is proven.
            most: look at no more entries than this.

        Returns:
            The entry up to which everything is proven now, and every row that differs.

        Raises:
            StepFailed: `log_pruned`: entries after `after` are gone, so only a new pass can prove anything.
        """
        high = min(point.n, after + most)
        await in_thread(point.source, partial(check_log, point.source, after, point.n))
        found: list[Discrepancy] = []
        for table in self.walked:
            sides = (await self._comparison(table)).sides
            keys = await in_thread(point.source, partial(sides.logged, point.source, after, high))
            found += await self.compare_keys(point, table.source, keys)
        return high, found

    async def compare_whole(self, point: CommonPoint, table: str, *, most: int | None = None) -> TableVerdict:
        """Compare every row of a table at one point, however long that takes: for tables whose log may miss keys.

        Args:
            point: a common point under the fence.
            table: source table.
            most: name at most so many differing rows; None as many as elsewhere. All are counted.
        """
        comparison = await self._comparison(self._plan(table))
        await settle(point)
        walk = TableWalk(comparison, 60.0)
        if most is not None:
            walk.limit_named(most)
        while not walk.done:
            piece = await walk.step(point)
            if suspects := await sifted(walk, piece):
                comparison.judge(await comparison.look(point, suspects), piece.differences, piece.tally)
        return walk.verdict(self._clock.now_ms())

    async def ask_invariants(self, point: CommonPoint) -> list[Discrepancy]:
        """The invariants that don't hold at this point."""
        found = [await ask(point, invariant, self._job.mask) for invariant in self._invariants]
        return [d for d in found if d is not None]

    def repair_keys(self, found: Sequence[Discrepancy]) -> dict[str, list[tuple[Scalar, ...]]]:
        """Keys for the tail to read anew, by source table. Counts every row as a defect, and no pass that began before
        is clean any more: one must follow the repair."""
        keys: dict[str, dict[tuple[Scalar, ...], None]] = {}
        for entry in found:
            if entry.true_key and entry.table in {t.source for t in self._job.tables}:
                live = self._plan(entry.table).live_key
                if all(name in entry.true_key for name in live):
                    keys.setdefault(entry.table, {})[tuple(entry.true_key[n] for n in live)] = None
        count = sum(map(len, keys.values()))
        if count:
            self.doubt()
            self.show(repairs=self.state.repairs + count)
        return {table: list(rows) for table, rows in keys.items()}

    # ---- for a pass

    @property
    def walked(self) -> tuple[TablePlan, ...]:
        """The tables of a pass."""
        return tuple(t for t in self._job.tables if self._why_not(t) is None)

    def left_out(self) -> list[TableVerdict]:
        """Verdicts on tables that no pass walks."""
        reasons = ((t, self._why_not(t)) for t in self._job.tables)
        return [TableVerdict(table=t.source, verified=Verified.NOT_VERIFIED, reason=why) for t, why in reasons if why]

    def _why_not(self, table: TablePlan) -> str | None:
        if table.impossible is not None:
            return table.impossible
        if table.source in self._reconcile:
            return f"compared as a whole in the cutover: {self._reconcile[table.source]}"
        return None if table.live_key else table.uncapturable or "it has no key by which changes are logged"

    async def walk(self, table: TablePlan, seconds: float) -> TableWalk:
        """A new walk over a table."""
        return TableWalk(await self._comparison(table), seconds)

    def total(self, table: str) -> int | None:
        """Rows the census counted."""
        facts = self._job.facts.get(table)
        return facts.rows if facts else None

    @property
    def asks(self) -> bool:
        """Whether there are invariants."""
        return bool(self._invariants)

    @property
    def tools(self) -> tuple[CommonPoints, Control, Clock]:
        """What a pass works with."""
        return self._points, self._control, self._clock

    def _plan(self, table: str) -> TablePlan:
        found = next((t for t in self._job.tables if t.source == table), None)
        if found is None or not found.live_key:
            raise StepFailed(f"The table {table} can't be compared by its keys: it has none.", code="verify_no_key")
        return found

    async def _comparison(self, table: TablePlan) -> TableComparison:
        known = self._comparisons.get(table.source)
        if known is None:
            rules = self._rules.get(table.source, NO_RULES)
            # asks a UTF-16 file for its encoding
            known = await asyncio.to_thread(TableComparison, self._job, table, self._run, rules, self._scratch)
            self._comparisons[table.source] = known
        return known


def _passes(error: Exception) -> bool:
    """Whether trying again may help."""
    return isinstance(error, TargetConnectionError) or getattr(error, "code", "") in _PASSING


def _stored(value: Value | str | BadText) -> Value:
    """A key value as the comparison has it."""
    if isinstance(value, str):
        return Text(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, BadText):
        if value.encoding == "utf-8":
            return Text(value.raw)
        lone = LoneText(value.raw.decode(value.encoding, "replace").encode() + b"\xff")
        lone.raw, lone.codec = value.raw, value.encoding
        return lone
    return value
