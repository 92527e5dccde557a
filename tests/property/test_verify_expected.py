"""Expected values against independent arithmetic, digests that tell every two columns apart, ranges that cover every row."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.plan import (
    ColumnFacts,
    ColumnPlan,
    Compare,
    CompareKind,
    TableFacts,
    TablePlan,
    Walk,
    WalkKind,
)
from stepflow_tui.engine.model.types import ColumnType, DateForm, EpochUnit, Kind
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.connect import Text, open_frozen
from stepflow_tui.engine.verify import cut as cutting
from stepflow_tui.engine.verify.expected import Value, Wrong, converter, expected_column
from stepflow_tui.engine.verify.forms import Form
from stepflow_tui.engine.verify.job import VerifyJob
from stepflow_tui.engine.verify.keys import key_of
from stepflow_tui.engine.verify.raw import _column_digest

TARGET = Target(hosts=(("localhost", 5432),), database="none", user="none")


def column(kind: Kind, sql: str = "text", name: str = "v", **more: object) -> ColumnPlan:
    return ColumnPlan(source=name, target=name, declared="", type=ColumnType(kind=kind, sql=sql, **more))  # type: ignore[arg-type]


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.binary(max_size=8),
    st.text(max_size=8).map(lambda s: Text(s.encode("utf-8", "surrogatepass"))), st.binary(max_size=6).map(Text),
)  # fmt: skip
COLUMNS = (
    column(Kind.INTEGER, "bigint"), column(Kind.INTEGER, "smallint", width=2), column(Kind.BOOLEAN, "boolean"),
    column(Kind.REAL, "double precision"), column(Kind.DECIMAL, "numeric(15,2)", scale=2), column(Kind.TEXT), column(Kind.BLOB, "bytea"),
    column(Kind.TIMESTAMP, "timestamp", form=DateForm.SPACE), column(Kind.DATE, "date"), column(Kind.MIXED_TEXT),
    column(Kind.MIXED_BYTEA, "bytea"), column(Kind.OTHER, "uuid"), column(Kind.OTHER, "timestamp(3)"), column(Kind.JSONB, "jsonb"),
    *(column(Kind.EPOCH, "timestamp", unit=unit) for unit in EpochUnit),
)  # fmt: skip


@given(st.lists(VALUES, max_size=6), st.sampled_from(COLUMNS))
def test_a_whole_column_is_converted_as_its_values_are(values: list[Value], planned: ColumnPlan) -> None:
    one_by_one = [converter(planned)(v) for v in values]
    assert list(expected_column(values, planned)) == one_by_one


@given(st.integers(-(10**13), 10**13), st.integers(0, 2))
def test_decimals_are_canonical(units: int, scale: int) -> None:
    exact = Decimal(units).scaleb(-scale)
    found = converter(column(Kind.DECIMAL, scale=scale))(float(exact))
    assert isinstance(found, bytes)
    assert Decimal(found.decode()) == exact
    assert b"E" not in found
    assert not (b"." in found and found.endswith(b"0"))
    assert found != b"-0"


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_real_is_decimal_only_where_no_digit_is_lost(value: float) -> None:
    found = converter(column(Kind.DECIMAL, scale=2))(value)
    if isinstance(found, bytes):
        assert float(found) == value
    else:
        assert isinstance(found, Wrong)
        assert round(Decimal(repr(value)), 2) != Decimal(repr(value)) if abs(value) < 1e20 else True


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)))
def test_timestamps_are_microseconds(moment: datetime) -> None:
    wanted = (moment - datetime(1970, 1, 1)) // timedelta(microseconds=1)
    text = moment.isoformat(" ", "microseconds")
    for shown in (text, text.replace(" ", "T")):
        assert converter(column(Kind.TIMESTAMP))(Text(shown.encode())) == wanted
    assert converter(column(Kind.EPOCH, unit=EpochUnit.MICROS))(wanted) == wanted
    assert converter(column(Kind.EPOCH, unit=EpochUnit.WEBKIT))(wanted + 11_644_473_600_000_000) == wanted


@given(st.text(alphabet="0123456789-:T. ", min_size=8, max_size=27))
def test_text_that_is_no_timestamp_is_wrong(text: str) -> None:
    found = converter(column(Kind.TIMESTAMP))(Text(text.encode()))
    try:
        datetime.fromisoformat(text)
    except ValueError:
        assert isinstance(found, Wrong)


FORMS = {
    Form.INT8: st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    Form.FLOAT8: st.one_of(st.none(), st.binary(min_size=8, max_size=8)),
    Form.BYTES: st.one_of(st.none(), st.binary(max_size=4)),
}


@given(st.data(), st.sampled_from(list(FORMS)))
def test_different_columns_have_different_digests(data: st.DataObject, form: Form) -> None:
    one = data.draw(st.lists(FORMS[form], max_size=5))
    other = data.draw(st.one_of(st.permutations(one), st.lists(FORMS[form], min_size=len(one), max_size=len(one))))
    assert (_column_digest(one, form) == _column_digest(other, form)) == (list(one) == list(other))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 60)), unique_by=lambda r: r[0], max_size=60),
    st.integers(1, 20),
    st.integers(1, 400),
    st.integers(20, 60),
)
def test_ranges_cover_every_row_once(rows: list[tuple[int, int]], count: int, size: int, alone: int) -> None:
    before = cutting.BYTES, cutting.ALONE
    cutting.BYTES, cutting.ALONE = size, alone
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder, "t.db")
            lite = sqlite3.connect(path)
            lite.execute("create table t(id integer primary key, v)")
            lite.executemany("insert into t values (?, zeroblob(?))", rows)
            lite.commit()
            lite.close()
            columns = (column(Kind.INTEGER, "bigint", "id"), column(Kind.BLOB, "bytea"))
            table = TablePlan(
                source="t", schema="public", name="t", columns=columns, walk=Walk(kind=WalkKind.ROWID, columns=("id",)),
                compare=Compare(kind=CompareKind.KEY, columns=("id",)), rowid_alias="id",
            )  # fmt: skip
            facts = TableFacts(rows=len(rows), columns={"v": ColumnFacts(mean_bytes=30, max_bytes=1000)})
            job = VerifyJob(
                level=Level.DETAILED, source=path, frozen=True, target=TARGET, tables=(table,), facts={"t": facts}
            )
            key = key_of(job, table)
            assert key is not None
            source = open_frozen(path, exact_rows=True)
            spans = list(cutting.cut(source, job, table, key, rows=count))
            found = []
            for span in spans:
                part = source.execute(
                    f"select id, length(v) from t where {key.lite_range(span.lo, span.hi)} order by id"
                ).fetchall()
                assert len(part) <= count
                if span.large:
                    assert len(part) == 1
                found += part
            source.close()
        assert found == sorted(rows)
        assert (spans[0].lo, spans[-1].hi) == (None, None)
        assert [s.n for s in spans] == list(range(len(spans)))
    finally:
        cutting.BYTES, cutting.ALONE = before
