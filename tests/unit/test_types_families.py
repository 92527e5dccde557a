"""Families of columns tied by foreign keys, and proposals."""

from __future__ import annotations

from typing import Any

import yaml

from stepflow_tui.engine.model.config import Types
from stepflow_tui.engine.model.schema import (
    Affinity,
    SourceColumn,
    SourceForeignKey,
    SourceSchema,
    SourceTable,
    TableKind,
)
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.declared import BIGINT, BOOLEAN, BYTEA, DOUBLE, MIXED_BYTEA, MIXED_TEXT, TEXT, affinity
from stepflow_tui.engine.plan.families import Member, attempts, conflict, families
from stepflow_tui.engine.plan.profile import Profile, profile_sample
from stepflow_tui.engine.plan.proposals import propose
from stepflow_tui.engine.plan.types import decide

FULL = Profile(rows=1, integers=1)
DECIMAL = ColumnType(kind=Kind.DECIMAL, sql="numeric(10,2)", scale=2, precision=10)


def table(name: str, columns: str, *keys: SourceForeignKey) -> SourceTable:
    made = tuple(SourceColumn(name=c, declared="INTEGER", affinity=Affinity.INTEGER) for c in columns.split())
    return SourceTable(name=name, kind=TableKind.ORDINARY, columns=made, sql="", foreign_keys=keys)


def key(columns: str, ref_table: str, ref_columns: str) -> SourceForeignKey:
    return SourceForeignKey(columns=tuple(columns.split()), ref_table=ref_table, ref_columns=tuple(ref_columns.split()))


def schema(*tables: SourceTable) -> SourceSchema:
    return SourceSchema(
        encoding="UTF-8", page_size=4096, page_count=1, journal_mode="delete", schema_version=1, user_version=0, application_id=0, tables=tables
    )  # fmt: skip


def test_families_follow_keys_both_ways_and_position_by_position() -> None:
    source = schema(
        table("a", "x y z"),
        table("b", "p q", key("p q", "A", "X y")),
        table("c", "r", key("r", "b", "p")),
        table("d", "s", key("s", "gone", "x"), key("s", "a", "missing")),
        table("e", "t", key("t", "e", "t")),
    )
    known = [(t.name, c.name) for t in source.tables for c in t.columns]
    assert families(source, known) == ((("a", "x"), ("b", "p"), ("c", "r")), (("a", "y"), ("b", "q")))


def members(*types: ColumnType, **changes: Any) -> list[Member]:
    return [Member(ref=("t", str(i)), type=kind, profile=FULL, **changes) for i, kind in enumerate(types)]


def test_equal_types_need_nothing() -> None:
    assert attempts(members(BIGINT, BIGINT)) == ()
    assert attempts(members(TEXT, TEXT)) == ()


def test_the_weakest_common_type_is_tried_last() -> None:
    assert attempts(members(BIGINT, MIXED_TEXT)) == ((MIXED_TEXT, MIXED_TEXT),)
    assert attempts(members(BIGINT, TEXT)) == ((MIXED_TEXT, TEXT),)
    assert attempts(members(BIGINT, BOOLEAN)) == ((BIGINT, BIGINT), (MIXED_TEXT, MIXED_TEXT))
    assert attempts(members(TEXT, MIXED_BYTEA)) == ((MIXED_BYTEA, MIXED_BYTEA),)
    assert attempts(members(BYTEA, BIGINT)) == ((MIXED_BYTEA, MIXED_BYTEA),)
    room, text = attempts(members(BIGINT, DECIMAL))
    assert {t.sql for t in room} == {"numeric(15,2)"}
    assert {t.sql for t in text} == {"text"}
    assert attempts(members(DOUBLE, BIGINT))[0][0].sql == "numeric(15,0)"


def test_columns_without_values_follow_the_others() -> None:
    empty = Member(ref=("t", "e"), type=BIGINT, profile=Profile(rows=0))
    assert attempts([empty, *members(TEXT)]) == ((TEXT, TEXT),)
    assert attempts([empty, *members(BYTEA)]) == ((BYTEA, BYTEA),)


def test_a_wish_for_one_is_a_wish_for_all() -> None:
    uuid = ColumnType(kind=Kind.OTHER, sql="uuid")
    wished = Member(ref=("t", "w"), type=uuid, profile=FULL, wished=True)
    assert attempts([wished, *members(TEXT)]) == ((uuid, uuid),)
    text = Member(ref=("t", "w"), type=TEXT, profile=Profile(rows=1, texts=1), wished=True)
    assert attempts([text, *members(BIGINT)]) == ((TEXT, MIXED_TEXT),)
    both = [wished, text]
    assert conflict(both)
    assert attempts(both) == ()


def proposal(declared: str, name: str, values: list[Any]) -> str:
    column = SourceColumn(name=name, declared=declared, affinity=affinity(declared))
    profile = profile_sample(values)
    return propose("T", column, decide(column, profile).type, profile)


def test_proposals_name_the_very_line() -> None:
    assert proposal("DATETIME", "createdAt", [1_700_000_000_000]) == "types: {dates: {T: {createdAt: epoch_ms}}}"
    assert proposal("INTEGER", "created_at", [1_700_000_000]) == "types: {dates: {T: {created_at: epoch_s}}}"
    assert proposal("INTEGER", "id", [1_700_000_000]) == ""
    assert proposal("REAL", "ZDATE", [7e8]) == "types: {dates: {T: {ZDATE: cocoa}}}"
    assert (
        proposal("INTEGER", "last_visit_time", [13_300_000_000_000_000])
        == "types: {dates: {T: {last_visit_time: webkit}}}"
    )
    assert proposal("TEXT", "d", ["2024-01-01"]) == "types: {by_column: {T: {d: date}}}"
    assert (
        proposal("TEXT", "d", ["2024-01-01T10:00:00+02:00"])
        == 'types: {by_column: {T: {d: "timestamp with time zone"}}}'
    )
    assert proposal("REAL", "total", [1.25]) == 'types: {by_column: {T: {total: "numeric(15,2)"}}}'
    assert proposal("INTEGER", "is_admin", [0, 1]) == "types: {by_column: {T: {is_admin: boolean}}}"
    assert proposal("JSONB", "j", ["{}"]) == "types: {by_column: {T: {j: jsonb}}}"
    assert proposal("TEXT", "u", ["123e4567-e89b-12d3-a456-426614174000"]) == "types: {by_column: {T: {u: uuid}}}"
    assert proposal("TEXT", "word", ["hello"]) == ""


def test_a_proposal_is_valid_config_whatever_the_names_are() -> None:
    column = SourceColumn(name='on: "x"\n', declared="TEXT", affinity=Affinity.TEXT)
    line = propose("no", column, TEXT, profile_sample(["2024-01-01"]))
    section = yaml.safe_load(line)["types"]
    assert Types.model_validate(section).by_column == {"no": {'on: "x"\n': "date"}}
