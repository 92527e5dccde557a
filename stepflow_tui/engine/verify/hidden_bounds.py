"""Bounds of compared ranges, where the key they are values of is sensitive: kept as fingerprints, found again by them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from stepflow_tui.engine.model.discrepancy import RangeDigest, Scalar
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.sensitive import Mask, is_fingerprint
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.verify.keys import KeyValue, from_json, to_json
from stepflow_tui.engine.verify.ordered import PREFIX as ORDERED
from stepflow_tui.engine.verify.resolve import key_sql

_FETCH_ROWS = 5_000


def hide_bounds(ranges: Sequence[RangeDigest], table: TablePlan, mask: Mask) -> tuple[RangeDigest, ...]:
    """The ranges as the journal may keep them."""
    if not mask.covers(table.source, None):
        return tuple(ranges)
    return tuple(replace(r, lo=_hidden(r, r.lo, table, mask), hi=_hidden(r, r.hi, table, mask)) for r in ranges)


async def find_bounds(
    connection: Any, ranges: Sequence[RangeDigest], table: TablePlan, mask: Mask
) -> tuple[RangeDigest, ...] | None:
    """The ranges with their true bounds, which are keys of rows in the target; None where such a row is gone."""
    wanted = {(_columns(r, table), b) for r in ranges for b in map(from_json, (r.lo, r.hi)) if b and _is_hidden(b)}
    found: dict[tuple[tuple[str, ...], KeyValue], KeyValue] = {}
    for columns in {c for c, _ in wanted}:
        bounds = {b for c, b in wanted if c == columns}
        async with connection.transaction(readonly=True):
            async for row in connection.cursor(_select(table, columns), prefetch=_FETCH_ROWS):
                key = tuple(row)
                shown = _shown(key, columns, table, mask)
                if shown in bounds:
                    found[columns, shown] = key
    if len(found) < len(wanted):
        return None
    return tuple(replace(r, lo=_true(r, r.lo, table, found), hi=_true(r, r.hi, table, found)) for r in ranges)


def _columns(span: RangeDigest, table: TablePlan) -> tuple[str, ...]:
    """The columns whose values a range's bounds are."""
    if span.sha256.startswith(ORDERED):
        return (table.columns[int(span.sha256.partition(":")[0].removeprefix(ORDERED))].source,)
    return table.compare.columns


def _shown(key: Iterable[Scalar], columns: Sequence[str], table: TablePlan, mask: Mask) -> KeyValue:
    return tuple(mask.shown(table.source, c, v) for c, v in zip(columns, key, strict=True))  # type: ignore[misc]


def _hidden(span: RangeDigest, bound: str | None, table: TablePlan, mask: Mask) -> str | None:
    value = from_json(bound)
    return None if value is None else to_json(_shown(value, _columns(span, table), table, mask))


def _true(
    span: RangeDigest, bound: str | None, table: TablePlan, found: dict[tuple[tuple[str, ...], KeyValue], KeyValue]
) -> str | None:
    value = from_json(bound)
    return bound if value is None else to_json(found.get((_columns(span, table), value), value))


def _is_hidden(bound: KeyValue) -> bool:
    return any(is_fingerprint(v) for v in bound)


def _select(table: TablePlan, columns: Sequence[str]) -> str:
    by_source = {c.source: c for c in table.columns}
    return f"select {','.join(key_sql(by_source[c]) for c in columns)} from {pg_name(table.schema, table.name)}"
