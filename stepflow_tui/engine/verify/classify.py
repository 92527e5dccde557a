"""What kind of difference two values have, and its probable cause."""

from __future__ import annotations

import struct
import unicodedata
from decimal import Decimal

from stepflow_tui.engine.model.discrepancy import DiffClass
from stepflow_tui.engine.model.plan import ColumnPlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.verify.expected import Wrong
from stepflow_tui.engine.verify.forms import Form, form_of, kind_of

Verdict = tuple[DiffClass, str]

_WRONG = {
    DiffClass.TYPE: "the source value is of another storage class than the column's type takes; the row should have been rejected",
    DiffClass.PRECISION: "the column's type can't hold the source value exactly; the row should have been rejected",
    DiffClass.ENCODING: "the source text has NUL bytes or does not decode; the row should have been rejected",
}


def classify(expected: int | bytes | Wrong | None, found: int | bytes | None, column: ColumnPlan) -> Verdict:
    """Class and probable cause of a difference.

    Args:
        expected: what the source value must have become.
        found: what the target holds, in the same form.
        column: the column's plan.
    """
    if isinstance(expected, Wrong):
        return expected.cls, _WRONG[expected.cls]
    if column.generated is not None:
        return DiffClass.CHANGED, "the generated column's expression gives another result in PostgreSQL"
    if expected is None:
        return DiffClass.CHANGED, "NULL became a value"
    if found is None:
        return DiffClass.CHANGED, "an empty text became NULL" if expected == b"" else "a value became NULL"
    kind = kind_of(column)
    if isinstance(expected, int) and isinstance(found, int):
        return _integers(expected, found, kind)
    assert isinstance(expected, bytes)
    assert isinstance(found, bytes)
    if form_of(column) is Form.FLOAT8:
        return _reals(struct.unpack(">d", expected)[0], struct.unpack(">d", found)[0])
    if kind is Kind.DECIMAL:
        return _decimals(expected.decode(), found.decode())
    if kind is Kind.MIXED_BYTEA and expected[:1] != found[:1]:
        return DiffClass.TYPE, "the value has another storage class"
    if kind in (Kind.BLOB, Kind.MIXED_BYTEA):
        return DiffClass.CHANGED, _lengths(expected, found, "bytes")
    return _texts(expected.decode("utf-8", "replace"), found.decode("utf-8", "replace"))


def _integers(expected: int, found: int, kind: Kind) -> Verdict:
    apart = abs(expected - found)
    if kind in (Kind.TIMESTAMP, Kind.EPOCH):
        if apart < 1_000_000:
            return DiffClass.PRECISION, "a fraction of a second was cut or rounded"
        if apart % 900_000_000 == 0 and apart <= 14 * 3_600_000_000:
            return DiffClass.CHANGED, "shifted by a time zone's offset"
    return DiffClass.CHANGED, "changed after the copy, or by a trigger or default of the target"


def _reals(expected: float, found: float) -> Verdict:
    if expected == found:
        return DiffClass.PRECISION, "the sign of zero was lost"
    try:
        single: float = struct.unpack("f", struct.pack("f", expected))[0]
    except OverflowError:
        single = float("inf")
    if single == found:
        return DiffClass.PRECISION, "stored with 4 bytes"
    if abs(expected - found) <= 1e-9 * max(abs(expected), abs(found)):
        return DiffClass.PRECISION, "passed through decimal text with too few digits"
    return DiffClass.CHANGED, "changed after the copy"


def _decimals(expected: str, found: str) -> Verdict:
    try:
        close = abs(Decimal(expected) - Decimal(found)) < Decimal("0.01")
    except ArithmeticError:
        close = False
    if close:
        return DiffClass.PRECISION, "rounded"
    return DiffClass.CHANGED, "changed after the copy"


def _texts(expected: str, found: str) -> Verdict:
    if unicodedata.normalize("NFC", expected) == unicodedata.normalize("NFC", found):
        return DiffClass.ENCODING, "Unicode normalisation differs"
    if _mojibake(expected, found):
        return DiffClass.ENCODING, "bytes were read in another encoding"
    if "\ufffd" in found and "\ufffd" not in expected:
        return DiffClass.ENCODING, "characters were replaced by U+FFFD"
    if expected.rstrip() == found.rstrip():
        return DiffClass.CHANGED, "blanks at the end differ"
    if expected.casefold() == found.casefold():
        return DiffClass.CHANGED, "upper and lower case differ"
    if _number(expected) is not None and _number(expected) == _number(found):
        return DiffClass.TYPE, "the same number, written as another storage class"
    return DiffClass.CHANGED, _lengths(expected, found, "characters")


def _mojibake(expected: str, found: str) -> bool:
    for codec in ("latin-1", "cp1252"):
        for a, b in ((expected, found), (found, expected)):
            try:
                if a != b and a.encode().decode(codec) == b:
                    return True
            except UnicodeError:
                continue
    return False


def _number(text: str) -> Decimal | None:
    try:
        return Decimal(text)
    except ArithmeticError:
        return None


def _lengths(expected: str | bytes, found: str | bytes, unit: str) -> str:
    if len(found) < len(expected) and expected[: len(found)] == found:
        return f"cut after {len(found)} {unit}"
    return "changed after the copy"
