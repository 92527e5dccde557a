"""The connection test of the set-up: true answers, errors with hints, no secrets, nothing changed."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import Refused, StepFlowError, TargetConnectionError, UsageError
from stepflow_tui.engine.facade.inspect import check
from stepflow_tui.engine.facade.try_target import try_target
from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.fingerprint import catalog_fingerprint
from stepflow_tui.render.advice import target_rows


async def test_a_server_that_can_take_the_tables(pg_target: Target, tmp_path: Path) -> None:
    connection = await pg_target.connect()
    before = await catalog_fingerprint(connection)
    found = await try_target(pg_target.application_uri(), schema="public", state=tmp_path, env={})
    assert found["ok"] is True
    assert (found["kind"], found["user"], found["database"]) == ("address", pg_target.user, pg_target.database)
    assert (found["schema_exists"], found["tables"]) == (True, 0)
    assert found["latency_ms"] > 0
    assert dict(target_rows(found))["Schema"] == "public, empty"
    assert pg_target.password is not None
    assert pg_target.password not in repr(found)
    assert await catalog_fingerprint(connection) == before
    await connection.close()


async def test_a_variable_stands_for_the_address(pg_dsn: str, tmp_path: Path) -> None:
    found = await try_target("${TARGET}", schema="public", state=tmp_path, env={"TARGET": pg_dsn})
    assert found["ok"] is True
    with pytest.raises(UsageError) as caught:
        await try_target("${TARGET}", schema="public", state=tmp_path, env={})
    assert caught.value.code == "variable_missing"


def _words(target: Target) -> str:
    [(host, port)] = target.hosts
    user, password = dsn_words.quoted(target.user), dsn_words.quoted(target.password or "")
    return f"host = {host} port={port} dbname='{target.database}' user={user} password={password}"


async def test_keywords_and_values_are_an_address(pg_target: Target, tmp_path: Path) -> None:
    """With a user and a password that need quoting."""
    connection = await pg_target.connect()
    odd = replace(pg_target, user="o'b \\x", password="pa'ss wo\\rd,&;=")
    await connection.execute(
        f"create role {pg_ident(odd.user)} superuser login password {pg_literal(odd.password or '')}"
    )
    try:
        found = await try_target(_words(odd), schema="public", state=tmp_path, env={})
        assert (found["kind"], found["ok"], found["user"]) == ("address", True, odd.user)
        assert (odd.password or "") not in repr(found)
    finally:
        await connection.execute(f"drop role {pg_ident(odd.user)}")
        await connection.close()


async def test_a_config_takes_keywords_and_values(pg_target: Target, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as made:
        made.execute("create table t(id integer primary key, v)")
    config = tmp_path / "c.yaml"
    config.write_text(
        "version: 1\nname: w\nkind: sqlite-to-postgres\nsource: {path: s.db}\ntarget: {dsn: '${TARGET_DSN}'}\n"
    )
    loaded = load_config(config, {"TARGET_DSN": _words(pg_target)})
    assert (pg_target.password or "") not in loaded.redacted + repr(loaded)
    checked = await check(loaded, state=tmp_path / "state")
    assert "target_identity" in {f.code for f in checked.findings}
    assert checked.exit_code == 0


async def test_libpq_s_environment(pg_target: Target, tmp_path: Path) -> None:
    [(host, port)] = pg_target.hosts
    env = {"PGHOST": host, "PGPORT": str(port), "PGUSER": pg_target.user, "PGDATABASE": pg_target.database}
    found = await try_target(
        "environment", schema="public", state=tmp_path, env=env | {"PGPASSWORD": pg_target.password or ""}
    )
    assert (found["kind"], found["ok"]) == ("environment", True)


async def test_a_schema_that_is_not_empty_is_said(pg_target: Target, tmp_path: Path) -> None:
    connection = await pg_target.connect()
    await connection.execute("create schema app; create table app.x (i int)")
    await connection.close()
    found = await try_target(pg_target.application_uri(), schema="app", state=tmp_path, env={})
    assert found["ok"] is False
    assert "target_not_empty" in [f.code for f in found["findings"]]
    assert dict(target_rows(found))["Schema"] == "app, holds 1 table"
    other = await try_target(pg_target.application_uri(), schema="new", state=tmp_path, env={})
    assert (other["schema_exists"], other["ok"]) == (False, True)


@pytest.mark.parametrize(
    ("change", "kind", "code"),
    [
        ({"password": "canary-wrong"}, TargetConnectionError, "password_refused"),
        ({"database": "no_such_database"}, Refused, "database_missing"),
        ({"hosts": (("127.0.0.1", 1),)}, TargetConnectionError, "unreachable"),
    ],
)
async def test_what_keeps_us_out_is_said_without_the_password(
    pg_target: Target, tmp_path: Path, change: dict[str, object], kind: type[StepFlowError], code: str
) -> None:
    aim = replace(pg_target, **change)  # type: ignore[arg-type]
    with pytest.raises(kind) as caught:
        await try_target(aim.application_uri(), schema="public", state=tmp_path, env={})
    assert caught.value.hint
    assert code in caught.value.code or code == "unreachable"
    assert str(aim.password) not in str(caught.value)


async def test_an_address_that_can_t_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        await try_target("mysql://u:canary-x@h/d", schema="public", state=tmp_path, env={})
    assert "canary-x" not in str(caught.value)


async def test_the_embedded_server_is_looked_at_and_not_started(tmp_path: Path) -> None:
    found = await try_target("embedded", schema="public", state=tmp_path / "state", env=dict(os.environ))
    assert (found["kind"], found["ok"], found["running"], found["exists"]) == ("embedded", True, False, False)
    assert found["version"]
    assert not (tmp_path / "state").exists()
    assert "when the run starts" in dict(target_rows(found))["State"]
