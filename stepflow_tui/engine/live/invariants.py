"""`verify.invariants`: the operator's own questions, asked on both sides at one common point."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from datetime import time as clock_time
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.live.compare_sides import in_thread
from stepflow_tui.engine.live.points import CommonPoint
from stepflow_tui.engine.model.config import Invariant
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Scalar
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.sqlite.connect import Text
from stepflow_tui.engine.verify.printed import shorten, source_scalar

if TYPE_CHECKING:
    import asyncpg

TABLE = "(invariants)"
"""Where invariants that don't hold are listed."""

MOST_ROWS = 1_000
"""Rows an answer may have."""

ANSWER_SECONDS = 5.0
"""How long one side may think: the source is held as long."""

Answer = Counter[tuple[object, ...]]


class _NoAnswer(Exception):
    """One side gave none; the text says why."""


async def ask(point: CommonPoint, invariant: Invariant, mask: Mask) -> Discrepancy | None:
    """Ask both sides; None when the answers are equal.

    Answers are compared as values, whatever the order of their rows: numbers by what they show (1, 1.0 and numeric 1.00 are
    equal), times as text, booleans as 0 and 1. Where the source has sensitive columns, no value of an answer is shown.
    """
    try:
        ours = await in_thread(point.source, lambda: _ask_source(point.source, invariant.sqlite))
        theirs = await _ask_target(point.target, invariant.postgres)
    except _NoAnswer as why:
        return _failed(invariant, "", "", f"no answer: {why}")
    if ours == theirs:
        return None
    hides = bool(mask.columns)
    source = _shown((ours - theirs).elements(), mask, hides=hides)
    target = _shown((theirs - ours).elements(), mask, hides=hides)
    return _failed(invariant, source, target, "the answers differ")


def _failed(invariant: Invariant, source: str, target: str, cause: str) -> Discrepancy:
    return Discrepancy(
        table=TABLE,
        key={"invariant": invariant.name},
        column=None,
        cls=DiffClass.CHANGED,
        source=source,
        target=target,
        cause=cause,
    )


def _ask_source(conn: sqlite3.Connection, sql: str) -> Answer:
    """The source's answer. The connection can't write."""
    until = time.monotonic() + ANSWER_SECONDS
    conn.set_progress_handler(lambda: int(time.monotonic() > until), 10_000)
    try:
        return _answer(conn.execute(sql).fetchmany(MOST_ROWS + 1))
    except (sqlite3.Error, sqlite3.Warning) as error:
        words = f"no end after {ANSWER_SECONDS:g} s" if time.monotonic() > until else str(error)
        raise _NoAnswer(f"the source says: {words}") from error
    finally:
        conn.set_progress_handler(None, 0)


async def _ask_target(conn: asyncpg.Connection, sql: str) -> Answer:
    """The target's answer; whatever the statement set or spoilt is taken back."""
    savepoint = conn.transaction()
    await savepoint.start()
    try:
        await conn.execute(
            f"set local transaction_read_only to on; set local statement_timeout to {ANSWER_SECONDS * 1000:.0f}"
        )
        cursor = await conn.cursor(sql)
        return _answer(tuple(row) for row in await cursor.fetch(MOST_ROWS + 1))
    except Exception as error:
        if not hasattr(error, "sqlstate"):
            raise
        raise _NoAnswer(f"the target says: {error}") from error
    finally:
        await savepoint.rollback()


def _answer(rows: Iterable[tuple[Any, ...]]) -> Answer:
    found = Counter(tuple(_value(v) for v in row) for row in rows)
    if found.total() > MOST_ROWS:
        raise _NoAnswer(f"more than {MOST_ROWS} rows; ask for sums")
    return found


def _value(value: Any) -> object:
    """A value in a form that is the same from both drivers."""
    if isinstance(value, Text):
        return source_scalar(value)
    if isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, float):
        value = Decimal(repr(value))
    if isinstance(value, (int, Decimal)):
        finite = isinstance(value, int) or value.is_finite()
        return Fraction(value) if finite else str(value)
    if isinstance(value, datetime):
        return value.isoformat(" ")
    if isinstance(value, (date, clock_time)):
        return value.isoformat()
    return value if value is None or isinstance(value, (str, bytes)) else str(value)


def _shown(rows: Iterable[tuple[object, ...]], mask: Mask, *, hides: bool) -> str:
    """Rows that only one side gave."""
    first = [f"({', '.join(_text(v, mask, hides=hides) for v in row)})" for row, _ in zip(rows, range(5), strict=False)]
    return shorten(" ".join(first) or "no such rows")


def _text(value: object, mask: Mask, *, hides: bool) -> str:
    scalar: Scalar = (
        str(Decimal(value.numerator) / Decimal(value.denominator)) if isinstance(value, Fraction) else value  # type: ignore[assignment]
    )
    if scalar is None:
        return "NULL"
    if hides:
        return mask.fingerprint(scalar)
    return "\\x" + scalar.hex() if isinstance(scalar, bytes) else str(scalar)
