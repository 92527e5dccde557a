"""The application's pools against a real server: its own limit, a role's, a database's."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stepflow_tui.engine.checks import check_context, run_checks
from stepflow_tui.engine.checks.checklist import ChecklistFacts, decide_all
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.view import Pooler, TargetView, Wanted, look
from stepflow_tui.engine.texts import render
from tests.conftest import Server


@pytest.fixture
def role(pg_server: Server, pg_target: Target) -> Iterator[Target]:
    """The fresh database, reached as an ordinary role that may have 20 connections."""
    name = f"app_{secrets.token_hex(4)}"
    pg_server.sql(f"create role {name} login password 'canary-app' connection limit 20")
    yield replace(pg_target, user=name, password="canary-app")
    pg_server.drop(pg_target)
    pg_server.sql(f"drop role {name}")


async def found(folder: Path, view: TargetView, pool: str | None, environment: str = "staging") -> list[Finding]:
    sqlite3.connect(folder / "shop.db").close()
    config = folder / "stepflow.yaml"
    lines = [
        "version: 1",
        "name: shop",
        "kind: sqlite-to-postgres",
        "source: {path: shop.db}",
        "target: {dsn: 'postgresql://h/d'}",
    ]
    lines += [f"environment: {environment}", f"application: {{pool: {pool}}}" if pool else ""]
    config.write_text("\n".join(lines))
    loaded = load_config(config, {})
    async with check_context(loaded.config, state_dir=folder / "state", target=view) as ctx:
        return [f for f in await run_checks(ctx) if f.code.startswith("pool_")]


async def test_the_tightest_limit_is_named_with_the_arithmetic(role: Target, tmp_path: Path) -> None:
    view = await look(role, Wanted())
    (finding,) = await found(tmp_path, view, "{size: 5, overflow: 2, instances: 3}")
    words = render(finding).what
    assert "(5 + 2) × 3 = 21 connections, 6 of StepFlow, 0 in use: 27 of 20" in words
    assert f"role {role.user}" in words
    assert finding.severity is Severity.WARNING
    assert "At most 4 connections" in render(finding).fix


async def test_what_fits_is_no_finding(role: Target, tmp_path: Path) -> None:
    view = await look(role, Wanted())
    assert await found(tmp_path, view, "{size: 7, overflow: 0, instances: 2}") == []  # 14 + 6 of 20
    assert len(await found(tmp_path, view, "{size: 15, overflow: 0, instances: 1}")) == 1  # 15 + 6
    assert await found(tmp_path, view, None) == []


async def test_connections_in_use_count(role: Target, tmp_path: Path) -> None:
    other = await role.connect()
    try:
        view = await look(role, Wanted())
    finally:
        await other.close()
    (finding,) = await found(tmp_path, view, "{size: 14, instances: 1}")
    assert finding.params["used"] == 1
    assert "1 in use: 21 of 20" in render(finding).what


async def test_it_blocks_in_production_and_holds_the_checklists_item(role: Target, tmp_path: Path) -> None:
    view = await look(role, Wanted())
    findings = await found(tmp_path, view, "{size: 50}", "production")
    assert [f.severity for f in findings] == [Severity.BLOCKING]
    failed = decide_all(ChecklistFacts(checked=True, findings=tuple(findings)))["pool-fits"]
    assert failed.state is ItemState.FAILED
    assert decide_all(ChecklistFacts(checked=True))["pool-fits"].state is ItemState.TICKED


async def test_the_database_and_the_server_have_limits_too(
    pg_server: Server, pg_target: Target, tmp_path: Path
) -> None:
    pg_server.sql(f'alter database "{pg_target.database}" connection limit 8')
    (finding,) = await found(tmp_path, await look(pg_target, Wanted()), "{size: 3}")
    assert "CONNECTION LIMIT of database" in render(finding).what
    pg_server.sql(f'alter database "{pg_target.database}" connection limit -1')
    view = await look(pg_target, Wanted())  # a superuser: what is reserved for it, the application does not get
    assert (view.limits.maximum, view.limits.reserved) == (100, 3)
    (finding,) = await found(tmp_path, view, "{size: 90, overflow: 5}")
    assert "of 97 (max_connections 100 - 3 reserved)" in render(finding).what


@pytest.mark.parametrize(
    ("pooler", "codes"),
    [(Pooler.TRANSACTION, ["pool_behind_pooler"]), (Pooler.SESSION, ["pool_behind_pooler", "pool_too_large"])],
)
async def test_behind_a_pooler_its_own_limits_count(
    pooler: Pooler, codes: list[str], role: Target, tmp_path: Path
) -> None:
    view = replace(await look(role, Wanted()), pooler=pooler)
    findings = await found(tmp_path, view, "{size: 50}", "production")
    assert [f.code for f in findings] == codes
    assert all(f.severity is not Severity.BLOCKING for f in findings)
    assert "up to 50 connections" in render(findings[0]).what
