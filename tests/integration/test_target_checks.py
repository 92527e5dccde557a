"""The target's preflight: each state of a target gives its finding, with SQL that really cures it."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stepflow_tui.engine.checks.target import TARGET_CHECKS, check_target
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import TargetConnectionError
from stepflow_tui.engine.facade.inspect import check, plan
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.postgres import control
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.create_target import create_target, missing_sql
from stepflow_tui.engine.postgres.fingerprint import catalog_fingerprint
from stepflow_tui.engine.postgres.view import Limits, Pooler, TargetView, Wanted, look
from stepflow_tui.engine.texts import findings as texts
from stepflow_tui.engine.texts import render
from tests.conftest import Server

RUN = "shop-20260101t000000-abcd"


@pytest.fixture
def role(pg_server: Server, pg_target: Target) -> Iterator[Target]:
    """The fresh database, reached as an ordinary role without any right of its own."""
    name = f"app_{secrets.token_hex(4)}"
    pg_server.sql(f"create role {name} login password 'canary-app'")
    yield replace(pg_target, user=name, password="canary-app")
    pg_server.drop(pg_target)
    pg_server.sql(f"drop role {name}")


async def execute(target: Target, *statements: str) -> None:
    connection = await target.connect()
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def found(target: Target, **wanted: Any) -> dict[str, Finding]:
    """Findings by code; each has words without gaps."""
    result = await check_target(await look(target, Wanted(**wanted)))
    for finding in result:
        words = render(finding)
        assert "{" not in f"{words.what}{words.why}{words.fix}", words
        assert all((words.what, words.why, words.fix))
    return {f.code: f for f in result}


def blocks(findings: dict[str, Finding]) -> set[str]:
    return {code for code, finding in findings.items() if finding.severity is Severity.BLOCKING}


async def test_fresh_database_passes(pg_target: Target) -> None:
    findings = await found(pg_target, source_bytes=1000)
    assert set(findings) == {"target_identity"}
    view = await look(pg_target)
    assert findings["target_identity"].params["system_identifier"] == view.system_identifier
    assert int(view.system_identifier) > 0
    assert view.free_bytes is not None
    assert view.pooler is Pooler.NONE


async def test_looking_changes_nothing(pg_target: Target) -> None:
    await execute(pg_target, "create table public.t (id int primary key, x text)", "create sequence public.s")
    connection = await pg_target.connect()
    before = await catalog_fingerprint(connection, data=True)
    await found(pg_target, existing=True)
    assert await catalog_fingerprint(connection, data=True) == before
    await connection.close()


async def test_down_target_is_the_only_finding(pg_target: Target) -> None:
    target = replace(pg_target, hosts=(("/nonexistent", 5432),))
    view = await look(target)
    assert isinstance(view.error, TargetConnectionError)
    findings = await found(target)
    assert set(findings) == {"target_unreachable"}
    assert findings["target_unreachable"].params["cause"] == "target_down"


async def test_not_empty(pg_target: Target) -> None:
    await execute(pg_target, 'create table public."we""ird" (x int)', "create view public.v as select 1 as one")
    findings = await found(pg_target)
    assert blocks(findings) == {"target_not_empty"}
    assert findings["target_not_empty"].params["names"] == 'we"ird, view v'
    other = replace(pg_target, schema="app")
    assert blocks(await found(other)) == set(), "another schema of the same database is free"


async def test_kept_tables_of_a_rollback_and_extensions_do_not_count(pg_target: Target) -> None:
    await execute(pg_target, "create table public._stepflow_old_t (x int)")
    assert blocks(await found(pg_target)) == set()


async def test_own_tables_pass_and_another_runs_do_not(pg_target: Target) -> None:
    connection = await pg_target.connect()
    await control.claim(connection, RUN, schema="public")
    await connection.execute("create table public.t (x int)")
    await connection.close()
    assert blocks(await found(pg_target, own_runs=frozenset({RUN}))) == set()
    findings = await found(pg_target, own_runs=frozenset({"other"}))
    assert blocks(findings) == {"target_owned", "target_not_empty"}
    assert findings["target_owned"].params["run"] == RUN
    await execute(pg_target, "update _stepflow.owner set system_identifier = '1'")
    assert "target_other_server" in blocks(await found(pg_target, own_runs=frozenset({RUN})))


async def test_missing_rights_and_the_sql_that_grants_them(role: Target, pg_target: Target) -> None:
    findings = await found(role)
    assert blocks(findings) == {"target_rights"}
    sql = str(findings["target_rights"].params["sql"])
    assert f'GRANT USAGE, CREATE ON SCHEMA "public" TO "{role.user}";' in sql
    await execute(pg_target, *sql.splitlines())
    assert blocks(await found(role)) == set()
    connection = await role.connect()
    await control.claim(connection, RUN, schema="public")
    await connection.execute("create table public.t (x int)")
    await connection.close()


async def test_schema_that_does_not_exist_needs_the_database(role: Target, pg_target: Target) -> None:
    target = replace(role, schema="app")
    findings = await found(target)
    assert findings["target_rights"].params["sql"] == f'GRANT CREATE ON DATABASE "{role.database}" TO "{role.user}";'


async def test_missing_database_and_role_print_exact_sql(pg_target: Target) -> None:
    findings = await found(pg_target.at('no"such'))
    assert blocks(findings) == {"database_missing"}
    assert 'CREATE DATABASE "no""such" TEMPLATE template0 ENCODING \'UTF8\';' in str(
        findings["database_missing"].params["sql"]
    )
    findings = await found(replace(pg_target, user="no_such_role"))
    sql = str(findings["password_refused"].params["sql"])
    assert sql.startswith('CREATE ROLE "no_such_role" LOGIN PASSWORD')
    assert pg_target.password is not None
    assert pg_target.password not in sql
    assert 'GRANT USAGE, CREATE ON SCHEMA "public" TO "no_such_role";' in sql


async def test_create_target_makes_what_is_missing(pg_server: Server) -> None:
    name = f"made_{secrets.token_hex(4)}"
    target = replace(pg_server.admin, database=f"{name} db", user=f"{name} role", password="canary'pass\\word")
    try:
        done = await create_target(pg_server.admin, target)
        assert "canary" not in " ".join(done)
        assert [d.split()[0] for d in done] == ["CREATE", "CREATE", "GRANT", "GRANT"]
        assert blocks(await found(target)) == set()
        again = await create_target(pg_server.admin, target)
        assert [d.split()[0] for d in again] == ["GRANT", "GRANT"], "what exists stays"
        from stepflow_tui.engine.errors import Refused

        with pytest.raises(Refused) as caught:
            await create_target(pg_server.admin, replace(target, password="another"))
        assert caught.value.code == "role_password"
    finally:
        pg_server.drop(target)
        pg_server.sql(f'drop role if exists "{name} role"')


async def test_create_target_needs_a_password_for_a_new_role(pg_server: Server) -> None:
    from stepflow_tui.engine.errors import UsageError

    with pytest.raises(UsageError):
        await create_target(pg_server.admin, replace(pg_server.admin, user="no_such_role", password=None))


async def test_nothing_to_create_for_other_causes(pg_target: Target) -> None:
    view = await look(replace(pg_target, hosts=(("/nonexistent", 5432),)))
    assert missing_sql(view.target, view) == []


async def test_encoding(pg_server: Server) -> None:
    name = f"latin_{secrets.token_hex(4)}"
    pg_server.sql(f"create database {name} template template0 encoding 'SQL_ASCII' locale 'C' locale_provider libc")
    target = pg_server.admin.at(name)
    try:
        findings = await found(target)
    finally:
        pg_server.drop(target)
    assert blocks(findings) == {"target_encoding"}
    assert findings["target_encoding"].params["encoding"] == "SQL_ASCII"


async def test_read_only(pg_target: Target) -> None:
    await execute(pg_target, f'alter database "{pg_target.database}" set default_transaction_read_only = on')
    assert blocks(await found(pg_target)) == {"target_read_only"}


async def test_connection_limit_of_the_role(role: Target, pg_target: Target, pg_server: Server) -> None:
    await execute(
        pg_target,
        f'grant create on database "{role.database}" to {role.user}',
        f"grant create on schema public to {role.user}",
    )
    pg_server.sql(f"alter role {role.user} connection limit 3")
    findings = await found(role, connections=6)
    assert blocks(findings) == {"target_connections"}
    assert findings["target_connections"].params["free"] == 3
    assert blocks(await found(role, connections=3)) == set()


async def test_database_limit_reached_is_too_many_connections(
    role: Target, pg_target: Target, pg_server: Server
) -> None:
    pg_server.sql(f"alter role {role.user} connection limit 0")
    view = await look(role)
    assert view.error is not None
    assert view.error.code == "too_many_connections"


async def test_existing_tables(pg_target: Target) -> None:
    await execute(
        pg_target,
        "create table public.users (id int primary key)",
        "create table public.orders (id int primary key, u int references public.users on delete cascade)",
        "create table public._prisma_migrations (id text)",
        "insert into public._prisma_migrations values ('1')",
    )
    findings = await found(pg_target, existing=True, tables=frozenset({"users", "orders"}))
    assert blocks(findings) == set()
    assert findings["target_bookkeeping"].params["names"] == "_prisma_migrations"
    assert blocks(await found(pg_target, existing=True)) == set()
    await execute(pg_target, "insert into public.users values (1)")
    findings = await found(pg_target, existing=True, tables=frozenset({"users", "missing"}))
    assert blocks(findings) == {"target_table_not_empty", "target_table_missing"}
    assert findings["target_table_missing"].object == "public.missing"
    assert "target_no_tables" in blocks(await found(replace(pg_target, schema="app"), existing=True))


async def test_existing_tables_with_triggers(pg_target: Target) -> None:
    await execute(
        pg_target,
        "create table public.t (id int)",
        "create function public.f() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger stamp before insert on public.t for each row execute function public.f()",
    )
    findings = await found(pg_target, existing=True)
    assert findings["target_table_triggers"].severity is Severity.WARNING
    assert findings["target_table_triggers"].params["names"] == "stamp"


async def test_rights_on_existing_tables(role: Target, pg_target: Target) -> None:
    await execute(
        pg_target,
        "create table public.t (id int)",
        f'grant create on database "{role.database}" to {role.user}',
        f"grant select on public.t to {role.user}",
    )
    findings = await found(role, existing=True)
    sql = str(findings["target_rights"].params["sql"])
    assert sql == f'GRANT INSERT, TRUNCATE ON TABLE "public"."t" TO "{role.user}";'
    await execute(pg_target, sql)
    assert blocks(await found(role, existing=True)) == set()


async def test_row_security(role: Target, pg_target: Target) -> None:
    await execute(
        pg_target,
        "create table public.t (id int)",
        "alter table public.t enable row level security",
        f'grant create on database "{role.database}" to {role.user}',
        f"grant all on public.t to {role.user}",
    )
    findings = await found(role, existing=True)
    assert blocks(findings) == {"target_row_security"}
    await execute(pg_target, str(findings["target_row_security"].params["sql"]))
    assert blocks(await found(role, existing=True)) == set()
    assert blocks(await found(pg_target, existing=True)) == set(), "a superuser sees every row"


async def test_roles_of_owner_and_grants(role: Target, pg_target: Target, pg_server: Server) -> None:
    await execute(
        pg_target,
        f'grant create on database "{role.database}" to {role.user}',
        f"grant create on schema public to {role.user}",
    )
    findings = await found(role, owner="no_such_owner", grant={"no_such_reader": "ro", "public": "ro"})
    assert blocks(findings) == {"target_role_missing"}
    owner = f"owner_{secrets.token_hex(4)}"
    pg_server.sql(f"create role {owner}")
    try:
        findings = await found(role, owner=owner)
        assert blocks(findings) == {"target_owner_role"}
        await execute(pg_target, *str(findings["target_owner_role"].params["sql"]).splitlines())
        assert blocks(await found(role, owner=owner)) == set()
    finally:
        pg_server.drop(pg_target)
        pg_server.sql(f"drop role {owner}")


def view_of(**facts: Any) -> TargetView:
    target = Target(hosts=(("db.example", 5432),), user="u", database="d", sslmode="require")
    base = TargetView(
        target=target, wanted=Wanted(source_bytes=1000), version_number=180000, version="18", user="u", encoding="UTF8",
        rights=frozenset({"database_create", "schema_create", "schema_usage"}), schema_exists=True, encrypted=True,
        limits=Limits(server=100, server_used=1),
    )  # fmt: skip
    return replace(base, **facts)


@pytest.mark.parametrize(
    ("facts", "codes"),
    [
        ({}, {"target_unproved"}),
        ({"target": Target(hosts=(("db.example", 1),), user="u", database="d", sslmode="verify-full")}, set()),
        ({"encrypted": False}, {"target_unencrypted"}),
        ({"version_number": 130011, "version": "13.11"}, {"target_unproved", "target_version"}),
        ({"in_recovery": True, "read_only": True}, {"target_unproved", "target_standby"}),
        ({"pooler": Pooler.TRANSACTION}, {"target_unproved", "target_pooler_transaction"}),
        ({"pooler": Pooler.SESSION}, {"target_unproved", "target_pooler_session"}),
        ({"superuser": True}, {"target_unproved", "target_superuser"}),
        ({"free_bytes": 1500}, {"target_unproved", "target_disk"}),
        ({"free_bytes": 2500}, {"target_unproved"}),
        ({"limits": Limits(server=10, server_used=9)}, {"target_unproved", "target_connections"}),
    ],
)
async def test_states_no_test_server_has(facts: dict[str, Any], codes: set[str]) -> None:
    result = await check_target(view_of(**facts))
    assert {f.code for f in result} - {"target_identity"} == codes
    for finding in result:
        assert "{" not in "".join((render(finding).what, render(finding).why, render(finding).fix))


async def test_little_room_warns_and_too_little_blocks() -> None:
    for free, severity in ((900, Severity.BLOCKING), (1500, Severity.WARNING)):
        (finding,) = [f for f in await check_target(view_of(free_bytes=free)) if f.code == "target_disk"]
        assert finding.severity is severity


def test_every_check_has_a_name_of_its_own() -> None:
    names = [c.name for c in TARGET_CHECKS]
    assert len(names) == len(set(names)) == 14
    assert all(name.startswith("target_") for name in names)
    assert {"target_identity", "target_unreachable"} <= set(texts())


async def test_pooler_is_seen_by_its_process_id(pg_target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pooler answers with a process id of its own; with one server per session it is a session pooler."""
    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", lambda _: -1)
    assert (await look(pg_target)).pooler is Pooler.SESSION


async def test_types_that_the_server_does_not_have(pg_target: Target) -> None:
    await execute(pg_target, "create type public.\"Mood\" as enum ('sad')", "create domain money2 as numeric(12,2)")
    good = ["int8", "numeric(12,2)", "timestamp(3) with time zone", "double  precision", "varchar(20)", "uuid", "int[]",
            'public."Mood"', "money2", "CHAR", "character varying (3)"]  # fmt: skip
    assert not blocks(
        await found(pg_target, types={f"types.by_column.t.c{n}": name for n, name in enumerate(good)})
    ) - {"target_not_empty"}
    bad = ["blah", "blah(1", "text(5)", "numeric(5000,2)", "nosch.blah", "a.b.c.d", "record", "int; drop table t", ""]
    view = await look(pg_target, Wanted(types={f"types.by_column.t.{n}": name for n, name in enumerate(bad)}))
    findings = [f for f in await check_target(view) if f.code == "config_type_not_there"]
    assert [(f.code, f.object, f.params["type"]) for f in findings] == [
        ("config_type_not_there", f"types.by_column.t.{n}", name) for n, name in enumerate(bad)
    ]
    assert all(f.severity is Severity.BLOCKING and f.params["reason"] for f in findings)


async def test_a_plan_with_an_unknown_type_is_not_made(pg_target: Target, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as made:
        made.execute("create table orders(id integer primary key, total real)")
    config = tmp_path / "c.yaml"
    config.write_text(
        "version: 1\nname: t\nkind: sqlite-to-postgres\nsource: {path: s.db}\ntarget: {dsn: '${TARGET_DSN}'}\n"
        "types: {by_column: {orders: {total: blah}}, by_type: {integer: 'blah(1'}}\n"
    )
    loaded = load_config(config, {"TARGET_DSN": pg_target.application_uri()})
    for result in (await plan(loaded, state=tmp_path / "state"), await check(loaded, state=tmp_path / "state")):
        assert result.exit_code == 4
        named = {f.object for f in result.findings if f.code == "config_type_not_there"}
        assert named == {"types.by_column.orders.total", "types.by_type.integer"}
    assert (await plan(loaded, state=tmp_path / "state")).plan is None
