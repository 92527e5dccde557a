"""The one rule of types, wishes from the config, and tables made beforehand."""

from __future__ import annotations

import pytest

from stepflow_tui.engine.model.census import TargetColumn
from stepflow_tui.engine.model.config import BadValue, DateUnit, Types
from stepflow_tui.engine.model.schema import SourceColumn
from stepflow_tui.engine.model.types import DateForm, EpochUnit, Kind
from stepflow_tui.engine.plan.declared import affinity
from stepflow_tui.engine.plan.profile import Profile, Value, profile_sample
from stepflow_tui.engine.plan.types import (
    Wish,
    decide,
    declared_scale,
    hypothesis,
    type_for_existing,
    wish_for,
    wish_for_made,
)


def column(declared: str, name: str = "v") -> SourceColumn:
    return SourceColumn(name=name, declared=declared, affinity=affinity(declared))


def known(declared: str, values: list[Value]) -> Profile:
    return profile_sample(values, declared_scale(column(declared)))


@pytest.mark.parametrize(
    ("declared", "values", "sql"),
    [
        ("INTEGER", [1, 2], "bigint"),
        ("INTEGER", [1, None], "bigint"),
        ("BOOLEAN", [0, 1, None], "boolean"),
        ("BOOLEAN", [0, 2], "bigint"),
        ("BOOLEAN", ["true"], "text"),
        ("TINYINT(1)", [0, 1], "bigint"),
        ("NUMERIC(10,2)", [1, 2.5], "numeric(10,2)"),
        ("NUMERIC(10,2)", [1.005], "numeric(10,3)"),
        ("NUMERIC(3,2)", [1234.5], "numeric(15,2)"),
        ("NUMERIC", [1, 2], "numeric(15,0)"),
        ("DECIMAL(5)", [0.1 + 0.2], "double precision"),
        ("DECIMAL(5)", [0.1 + 0.2, 1], "text"),
        ("DECIMAL(5)", [10**16], "bigint"),
        ("DATETIME", ["2024-01-01 10:00:00", None], "timestamp"),
        ("DATETIME", ["2024-01-01 10:00:00", "2024-01-01T10:00:00"], "text"),
        ("DATETIME", ["2024-02-30 10:00:00"], "text"),
        ("DATETIME", ["2024-01-01 24:00:00"], "text"),
        ("DATETIME", ["2024-01-01"], "text"),
        ("DATETIME", [1_700_000_000], "bigint"),
        ("DATE", ["2024-01-01"], "date"),
        ("DATE", ["0000-01-01"], "text"),
        ("DATE", ["2024-01-01 00:00:00"], "text"),
        ("TEXT", ["2024-01-01"], "text"),
        ("VARCHAR(3)", ["abcdef"], "text"),
        ("TIMESTAMP WITH TIME ZONE", ["2024-01-01 10:00:00"], "text"),
        ("JSON", ["{}"], "text"),
        ("UUID", ["123e4567-e89b-12d3-a456-426614174000"], "text"),
        ("", [1, "x"], "text"),
        ("", [1, b"x"], "bytea"),
        ("", [b"x"], "bytea"),
        ("REAL", [1.5], "double precision"),
    ],
)
def test_a_type_is_chosen_only_if_asked_for_and_exact(declared: str, values: list[Value], sql: str) -> None:
    decision = decide(column(declared), known(declared, values))
    assert decision.type.sql == sql
    assert decision.reason
    assert hypothesis(column(declared), values) == decision.type


def test_every_uniform_form_is_told_apart() -> None:
    for form in DateForm:
        text = (
            "2024-05-06" + ("T" if form.with_t else " ") + "07:08:09" + (f".{'0' * form.digits}" if form.digits else "")
        )
        assert hypothesis(column("DATETIME"), [text]).form is form


def test_bad_text_is_kept_as_bytes_where_that_was_asked_for() -> None:
    profile = Profile(rows=3, texts=3, nul_values=1)
    assert decide(column("TEXT"), profile).type.kind is Kind.TEXT
    assert decide(column("TEXT"), profile, on_bad_value=BadValue.BYTEA).type.kind is Kind.MIXED_BYTEA


TYPES = Types.model_validate(
    {
        "by_type": {"money": "numeric(12,2)", "VARCHAR(36)": "uuid"},
        "by_column": {"Orders": {"Total": "numeric(14,4)"}},
        "dates": {"orders": {"placed": "epoch_ms"}},
    }
)


def test_wishes_are_found_without_regard_to_case() -> None:
    assert wish_for("orders", column("REAL", "total"), TYPES) == Wish(target="numeric(14,4)", origin="types.by_column")
    assert wish_for("orders", column("INTEGER", "Placed"), TYPES) == Wish(
        target="timestamp", unit=DateUnit.EPOCH_MS, origin="types.dates"
    )
    money = wish_for("other", column("Money"), TYPES)
    assert money is not None
    assert money.target == "numeric(12,2)"
    assert wish_for("other", column("varchar( 36 )"), TYPES) is not None
    assert wish_for("other", column("varchar(37)"), TYPES) is None


@pytest.mark.parametrize(
    ("target", "unit", "values", "kind", "problem"),
    [
        ("bigint", None, [1], Kind.INTEGER, ""),
        ("int4", None, [1], Kind.INTEGER, ""),
        ("numeric(12,2)", None, [1.5], Kind.DECIMAL, ""),
        ("numeric", None, [1.5], Kind.DECIMAL, ""),
        ("numeric(65,30)", None, [1.5], Kind.OTHER, ""),
        ("text", None, [1], Kind.MIXED_TEXT, ""),
        ("varchar(10)", None, ["a"], Kind.TEXT, ""),
        ("citext", None, ["a"], Kind.TEXT, ""),
        ("jsonb", None, ["{}"], Kind.JSONB, ""),
        ("uuid", None, ["x"], Kind.OTHER, ""),
        ("inet", None, ["::1"], Kind.OTHER, ""),
        ("timestamptz", None, ["2024-01-01 10:00:00"], Kind.TIMESTAMP, ""),
        ("timestamp(3)", DateUnit.EPOCH_MS, [1_700_000_000_000], Kind.EPOCH, ""),
        ("timestamp", None, [1_700_000_000_000], Kind.EPOCH, ""),
        ("timestamp", None, [5], Kind.OTHER, "type_needs_unit"),
        ("date", DateUnit.EPOCH_S, [5], Kind.OTHER, "type_unit_without_time"),
        ("real", None, [1.5], Kind.OTHER, "type_too_narrow"),
        ("text); drop table x; --", None, ["a"], Kind.TEXT, "type_unknown"),
        ("text, evil text", None, ["a"], Kind.TEXT, "type_unknown"),
    ],
)
def test_wished_types(target: str, unit: DateUnit | None, values: list[Value], kind: Kind, problem: str) -> None:
    decision = decide(column(""), known("", values), Wish(target=target, unit=unit))
    assert decision.type.kind is kind
    assert decision.problem == problem
    assert ";" not in decision.type.sql


@pytest.mark.parametrize(
    ("sql", "values", "kind"),
    [
        ("smallint", [1], Kind.INTEGER),
        ("integer", [1], Kind.INTEGER),
        ("boolean", [0, 1], Kind.BOOLEAN),
        ("character varying(20)", ["a"], Kind.TEXT),
        ("timestamp(3) without time zone", [1_700_000_000_000], Kind.EPOCH),  # Prisma
        ("timestamp with time zone", ["2024-01-01 10:00:00.123456"], Kind.TIMESTAMP),  # Django
        ("numeric(10,2)", [1, 2.5], Kind.DECIMAL),
        ("double precision", [1.5], Kind.REAL),
        ("bytea", [b"x"], Kind.BLOB),
        ("json", ["{}"], Kind.TEXT),
        ("date", ["2024-01-01"], Kind.DATE),
        ("time without time zone", ["10:00:00"], Kind.OTHER),
        ("integer[]", ["{1,2}"], Kind.OTHER),
        ('"char"', ["a"], Kind.OTHER),
        ("interval year to month", ["1 year"], Kind.OTHER),
    ],
)
def test_columns_made_beforehand(sql: str, values: list[Value], kind: Kind) -> None:
    decision = type_for_existing(column(""), sql, known("", values))
    assert decision.type.kind is kind
    assert decision.problem == ""


def test_details_of_columns_made_beforehand() -> None:
    assert type_for_existing(column(""), "smallint", known("", [1])).type.width == 2
    prisma = type_for_existing(column(""), "timestamp(3) without time zone", known("", [1_700_000_000_000])).type
    assert (prisma.unit, prisma.precision) == (EpochUnit.MILLIS, 3)
    django = type_for_existing(
        column(""), "timestamp with time zone", known("", ["2024-01-01 10:00:00.123456", "2024-01-01 10:00:00"])
    ).type
    assert django.form is DateForm.SPACE
    assert type_for_existing(column(""), 'public."Mood"', known("", ["happy"]), enum=True).type.kind is Kind.TEXT
    wish = wish_for_made(
        "orders", column("INTEGER", "placed"), TargetColumn(sql="timestamp(3) without time zone"), TYPES
    )
    assert (wish.unit, wish.made) == (DateUnit.EPOCH_MS, True)
