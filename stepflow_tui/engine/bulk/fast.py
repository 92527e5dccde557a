"""One segment as Arrow: SQLite renders wire-ready values, the formats are checked, binary COPY takes them.

Binary COPY carries widths, not types: a batch in another format than planned would be accepted in silence, so every
column's format is compared before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any

import nanoarrow as na

from stepflow_tui.engine.bulk import arrow
from stepflow_tui.engine.bulk.bounds import key_from_json
from stepflow_tui.engine.bulk.failures import refuses_rows, state_of, target_error
from stepflow_tui.engine.bulk.outcome import WorkOrder
from stepflow_tui.engine.bulk.session import Session
from stepflow_tui.engine.bulk.spec import CopySpec, FastColumn
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.plan.kinds import Build
from stepflow_tui.engine.plan.quote import pg_literal
from stepflow_tui.engine.postgres.errors import WITHHELD
from stepflow_tui.engine.postgres.ledger import FINISH_SQL, superseded


class TakeSlowWay(Exception):
    """The segment's rows can't go as Arrow; nothing of it is in the target. The text says why."""


def copy_fast(session: Session, order: WorkOrder) -> int:
    """Copy one fast segment in one transaction with its ledger row.

    Returns:
        Rows written.

    Raises:
        TakeSlowWay: the source can't be read so, a format differs from the plan, or the server refuses a row.
        Held: the segment is not open in this epoch.
        StepFlowError: by cause.
    """
    target = session.arrow_target(order.target, order.run)
    try:
        with closing(_read(session, order)) as batches:
            rows = sum(_send(target, order, batch) for batch in batches)
        failpoint("segment_ingested")
        _finish(target, order, rows)
        target.commit()
    except arrow.AdbcError as error:
        _roll_back(session, target)
        raise target_error(error, f"copy {order.spec.table}", order.target, order.spec.hidden) from None
    except BaseException:
        _roll_back(session, target)
        raise
    failpoint("segment_committed")
    return rows


def _roll_back(session: Session, target: arrow.Connection) -> None:
    try:
        target.rollback()
    except arrow.AdbcError:
        session.drop_targets()


def _read(session: Session, order: WorkOrder) -> Generator[arrow.Batch, None, None]:
    spec, segment = order.spec, order.segment
    sql = spec.fast_sql(key_from_json(segment.lo), key_from_json(segment.hi))
    try:
        connection = session.arrow_file(order.frozen)
        with arrow.query(connection, sql, adbc__sqlite__query__batch_rows=max(1, spec.batch_rows)) as batches:
            for batch in batches:
                yield _checked(batch, spec)
    except arrow.AdbcError as error:
        # a module, function or collation this SQLite lacks, or a type that changes within the segment
        raise TakeSlowWay(f"reading: {str(error).strip()}") from None


def _checked(batch: arrow.Batch, spec: CopySpec) -> arrow.Batch:
    """The batch under the target's names, every column in its planned format."""
    columns = arrow.children(batch)
    position, built = 0, []
    for plan in spec.fast:
        parts = columns[position : position + len(plan.expressions)]
        position += len(plan.expressions)
        for part in parts:
            if part.schema.format != plan.format and not arrow.all_null(part):
                raise TakeSlowWay(f"column {plan.target}: format {part.schema.format} where {plan.format} was planned")
        built.append(_build(plan, parts))
    return arrow.as_batch([plan.target for plan in spec.fast], built, batch.length)


def _build(plan: FastColumn, parts: list[arrow.Batch]) -> arrow.Batch:
    if plan.build is Build.AS_IS:
        return parts[0]
    if plan.build is Build.DECIMAL:
        return arrow.decimal128(parts[0], parts[1], plan.scale)
    schema, code = _NARROW[plan.build]
    try:
        return arrow.narrow(parts[0], schema(), code)
    except OverflowError:
        raise TakeSlowWay(f"column {plan.target}: a value beyond its width") from None


_NARROW: dict[Build, tuple[Callable[[], Any], str]] = {
    Build.DATE32: (na.date32, "i"),
    Build.INT32: (na.int32, "i"),
    Build.INT16: (na.int16, "h"),
}


def _send(target: arrow.Connection, order: WorkOrder, batch: arrow.Batch) -> int:
    try:
        written = arrow.ingest(target, order.spec.schema, order.spec.name, [batch])
    except arrow.AdbcError as error:
        if refuses_rows(state_of(error)):
            words = WITHHELD if order.spec.hidden else str(error).strip()
            raise TakeSlowWay(f"the server refused rows: {words}") from None
        raise
    if written != batch.length:
        raise StepFailed(
            f"The target took another number of rows of {order.spec.table} than were read.",
            detail=f"read {batch.length}, written {written}",
            hint="Look for a trigger or rule on the target table that drops rows.",
            code="rows_written",
        )
    return int(written)


def _finish(target: arrow.Connection, order: WorkOrder, rows: int) -> None:
    values = [pg_literal(order.run), str(order.segment.n), str(order.epoch), str(rows), "0"]
    sql = re.sub(r"\$(\d)", lambda found: values[int(found[1]) - 1], FINISH_SQL)
    if arrow.execute(target, sql) != 1:
        raise superseded(order.segment.n, order.epoch)
