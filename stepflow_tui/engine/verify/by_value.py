"""Both sides of a range as Arrow, compared in a worker process; and the same digest from the target alone."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.bulk.compare import CompareJob
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import lite_ident, pg_name
from stepflow_tui.engine.sqlite.connect import file_uri
from stepflow_tui.engine.verify.arrow_forms import Pair, dummies, select_lists
from stepflow_tui.engine.verify.cut import ROWS, Range
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import Order
from stepflow_tui.engine.verify.sides import VERIFY_SETTINGS

LIMIT = 3 * ROWS
"""Rows a range of the target may return; more are extra rows, looked at in pages."""

_SESSION = "select " + ",".join(f"set_config('{k}','{v}',false)" for k, v in VERIFY_SETTINGS.items())


def compare_job(job: VerifyJob, table: TablePlan, found: Sequence[Pair], order: Order, span: Range) -> CompareJob:
    """The work of one range.

    Args:
        job, table: what is compared.
        found: the compared columns, the key's first.
        order: the common order; rows are paired by it if it is a key.
        span: the range.
    """
    lists, first = select_lists(found), dummies(found)
    lite = f"select {lists[0]} from {lite_ident(table.source)} where {order.lite_range(span.lo, span.hi)} order by {','.join(order.lite)} limit -1"
    pg = (
        f"select {lists[1]} from {pg_name(table.schema, table.name)} where {order.pg_range(span.lo, span.hi)}"
        f" order by {','.join(order.pg_order)} limit {LIMIT + 1}"
    )
    return CompareJob(
        source=file_uri(job.source, "mode=ro", "immutable=1"),
        target=job.target.uri(),
        session_sql=_SESSION,
        source_sql=f"select {first[0]} union all select * from ({lite})",
        target_sql=f"select {first[1]} union all select * from ({pg}) rows_of_range",
        formats=tuple((p.lite_format, p.pg_format) for p in found),
        keys=len(order.lite) if order.unique else 0,
        odd=any(p.odd for p in found),
        limit=LIMIT,
    )
