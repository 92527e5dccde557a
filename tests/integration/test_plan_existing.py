"""Tables made beforehand: matched by name, checked, never changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.plan import CompareKind, ObjectType, Stage
from stepflow_tui.engine.plan.existing import MadeColumn, MadeTable, match_existing
from tests.integration.plan_kit import config_for, plan_of, schema_of, source

SCHEMA = """
create table Users(id integer primary key autoincrement, email text not null, made text, flag boolean);
create table tags(name text primary key, n int);
insert into Users(email, flag) values ('a', 1); insert into tags values ('x', 1);
create index users_email on Users(email);
create view v as select 1;
"""
USERS = MadeTable(name="users", primary_key=("id",), columns=(
    MadeColumn(name="id", sql="integer", not_null=True, filled=True, serial=True), MadeColumn(name="Email", sql="character varying(200)", not_null=True),
    MadeColumn(name="made", sql="text"), MadeColumn(name="flag", sql="boolean"), MadeColumn(name="extra", sql="text", not_null=True, filled=True)))  # fmt: skip
TAGS = MadeTable(
    name="tags",
    primary_key=("name",),
    columns=(MadeColumn(name="name", sql="text", not_null=True), MadeColumn(name="n", sql="bigint")),
)
EXISTING: dict[str, Any] = {"target": {"tables": "existing"}}


async def test_names_and_types_are_the_targets(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    matched = match_existing(schema_of(path), config_for(path, **EXISTING), [USERS, TAGS])
    assert matched.findings == ()
    plan = await plan_of(path, matched, **EXISTING)
    users = plan.table("Users")
    assert (users.name, users.existing) == ("users", True)
    assert [(c.target, c.type.sql) for c in users.columns[:2]] == [("id", "integer"), ("Email", "varchar(200)")]
    assert {s.stage for s in plan.statements} == {Stage.SEQUENCE}
    assert users.compare.kind is CompareKind.KEY
    assert plan.table("tags").compare.kind is CompareKind.MULTISET  # its text key has another order than bytes
    assert all(not o.carried and o.reason for o in plan.objects if o.type is not ObjectType.SEQUENCE)


async def test_a_byte_ordered_text_key_is_walked(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    ordered = MadeTable(
        name="tags",
        primary_key=("name",),
        columns=(MadeColumn(name="name", sql="text", collation="C"), TAGS.columns[1]),
    )
    matched = match_existing(schema_of(path), config_for(path, **EXISTING), [USERS, ordered])
    plan = await plan_of(path, matched, **EXISTING)
    assert plan.table("tags").compare.kind is CompareKind.KEY


def test_what_does_not_fit_is_found_all_at_once(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    poor = MadeTable(
        name="Users", columns=(MadeColumn(name="id", sql="bigint"), MadeColumn(name="must", sql="text", not_null=True))
    )
    found = match_existing(
        schema_of(path), config_for(path, **EXISTING), [poor, MadeTable(name="other", columns=())]
    ).findings
    assert [(f.code, f.object, f.severity) for f in found] == [
        ("existing_column_missing", "Users.email", Severity.BLOCKING),
        ("existing_column_missing", "Users.made", Severity.BLOCKING),
        ("existing_column_missing", "Users.flag", Severity.BLOCKING),
        ("existing_column_unfilled", "Users.must", Severity.BLOCKING),
        ("existing_table_missing", "tags", Severity.BLOCKING),
        ("existing_table_unused", "other", Severity.INFO),
    ]


def test_renamed_and_excluded_tables(tmp_path: Path) -> None:
    path = source(tmp_path / "a.db", SCHEMA)
    config = config_for(path, **EXISTING, tables={"exclude": ["tags"], "rename": {"Users": "people"}})
    people = MadeTable(name="people", columns=USERS.columns)
    matched = match_existing(schema_of(path), config, [USERS, people])
    assert matched.tables["Users"] is people
    assert [f.code for f in matched.findings] == ["existing_table_unused"]
