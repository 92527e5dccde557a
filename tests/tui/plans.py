"""Plans and reports to show: made by the real planner from small files, with checklists and findings by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from screens.pages.report_result import ReportView
from screens.pages.view import PlanView, planned_objects
from screens.widgets.key_line import KeyLine
from stepflow_tui.app import StepFlowApp
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.playbooks.spec import planned_phases
from tests.integration.plan_kit import config_for, plan_of, source
from tests.tui.kit import wizard

SHOP = """
create table customer(id integer primary key, name text not null, email text, joined text);
insert into customer values(1,'Ann','a@x.org','2024-01-02 10:00:00'),(2,'Bo','b@x.org','2024-02-02 10:00:00');
create table orders(id integer primary key, customer_id integer references customer(id), total real, note text default 'none');
insert into orders values(1,1,9.5,'x'),(2,2,10,null),(3,2,'abc','z');
create unique index orders_note on orders(note);
create view big as select * from orders where total > 5;
create trigger t after insert on orders begin update customer set name = load_extension('x') where id = new.customer_id; end;
"""

HOSTILE = """
create table "[red]x[/] \x1b[31m\u202egnp.exe" ("[link=http://x]a[/link]" integer primary key, "b\x07\x9b2J" text);
insert into "[red]x[/] \x1b[31m\u202egnp.exe" values(1, '[bold]v[/] \x1b]52;c;eA==\x07');
create view "'; drop--[b]" as select load_extension('[blink]') as "$x";
"""

FINDINGS: tuple[Finding, ...] = (
    info("library_versions", python="3.11.7", sqlite="3.45.0", adbc="1.13.0", adbc_sqlite="3.53.1", asyncpg="0.32.0"),
    warning(
        "mixed_storage",
        "orders.total",
        integers=0,
        reals=2,
        texts=1,
        blobs=0,
        minimum="9.5",
        maximum="abc",
        type="text",
    ),
    blocking("disk_space", "/backups", needed_bytes=5_000_000, reserve_bytes=268_435_456, free_bytes=1_000_000),
)

TICKED = {
    "backup-config": ("ticked", "anna@db1", "tar of /etc/shop, restored on db2"),
    "teams-told": ("accepted", "--yes", ""),
}


async def plan_view(folder: Path, sql: str = SHOP, **more: Any) -> PlanView:
    """The plan of a small file, as the plan screen gets it before a run."""
    file = source(folder / "shop.db", sql)
    playbook = playbook_for(config_for(file))
    plan = replace(await plan_of(file), phases=planned_phases(playbook))
    items = [
        {
            "id": spec.id, "phase": spec.before, "kind": spec.kind.value, "params": dict(spec.params),
            "state": TICKED.get(spec.id, ("open", None, None))[0], "by": TICKED.get(spec.id, ("", None, None))[1],
            "at_ms": 1_795_000_000_000 if spec.id in TICKED else None, "note": TICKED.get(spec.id, ("", None, None))[2],
        }
        for spec in playbook.items
    ]  # fmt: skip
    made: dict[str, Any] = {
        "name": "shop", "plan": plan, "findings": FINDINGS, "items": items, "objects": planned_objects(plan),
        "source_bytes": 16_384, "config": folder / "stepflow.yaml",
    }  # fmt: skip
    return PlanView(**(made | more))


def report(**more: Any) -> dict[str, Any]:
    """A report of an incomplete run, in the shape of report.json."""
    made: dict[str, Any] = {
        "run": "shop-20261122T112107-7f3a", "name": "shop", "kind": "sqlite-to-postgres", "result": "incomplete", "exit_code": 5,
        "plan_hash": "0123456789abcdef" * 4, "config_hash": "fedcba9876543210" * 4, "state": "incomplete",
        "started_at": "2026-11-22T11:21:07.000Z", "finished_at": "2026-11-22T12:04:31.000Z",
        "seconds": {"prepare": 12.4, "backfill": 2381.0, "validate": 130.0}, "source_changed": True,
        "versions": {"stepflow": "1.0", "python": "3.11.7", "sqlite": "3.45.0", "postgresql": "18.6"},
        "backup": {"path": "/var/backups/shop's.db", "bytes": 31_457_280, "sha256": "ab" * 32, "verified": True},
        "tables": [
            table("orders", 60_000, 60_000, "equal"),
            table("customer", 40_000, 39_998, "different", rejected=1, reason="2 rows are missing"),
        ],
        "objects": [
            {"type": "view", "name": "big", "carried": False, "reason": "the function load_extension()", "sql": "CREATE VIEW big AS …"},
            {"type": "sequence", "name": "orders.id", "carried": True, "reason": "the rowid's numbering as an identity column",
             "sql": ""},
        ],
        "findings": [],
        "discrepancies": [
            {"table": "customer", "key": {"id": 7}, "column": "name", "class": "changed", "source": "Ann", "target": "Bob",
             "cause": "changed in the target", "repair_sql": ""},
        ],
        "rejects": [{"table": "customer", "key": [9], "column": "note", "reason": "a NUL byte", "file": "rejects/customer.ndjson"}],
        "checklist": [
            {"id": "backup-database", "title": "Current database backed up", "phase": "before", "kind": "auto", "state": "ticked",
             "by": "check", "at": "2026-11-22T11:21:09.000Z", "note": "restored and checked, sha256 abab"},
            {"id": "data-verified", "title": "Data integrity verified", "phase": "during", "kind": "auto", "state": "failed",
             "by": "check", "at": None, "note": "differences, see the report"},
        ],
        "notes": [{"at": "2026-11-22T11:30:00.000Z", "by": "anna@db1", "text": "started after the backup window"}],
        "alerts": [
            {"code": "disk_low", "severity": "critical", "since": "2026-11-22T11:40:00.000Z", "count": 3, "cleared": False,
             "acknowledged": "anna@db1", "params": {"free_bytes": 1000, "folder": "/var"}, "note": "cleaning up"},
        ],
        "audit": {"entries": 12, "head": "cd" * 32, "verified": True},
        "timings": [{"phase": "backfill", "step": "copy", "item": "", "state": "done", "seconds": 2200.0, "attempts": 1}],
        "source": {}, "errors": [], "application": ["Connect to shop@db1:5432/shop instead of opening the SQLite file."],
    }  # fmt: skip
    return made | more


def table(
    name: str, source_rows: int, target_rows: int, verified: str, *, rejected: int = 0, reason: str = ""
) -> Mapping[str, Any]:
    """One table of a report."""
    return {
        "source": name, "target": f"public.{name}", "source_rows": source_rows, "target_rows": target_rows,
        "rejected_rows": rejected, "verified": verified, "reason": reason, "digest_source": "", "digest_target": "",
        "copy_seconds": 1.0, "as_of": None,
    }  # fmt: skip


def report_view(**more: Any) -> ReportView:
    """What the report screen shows."""
    files = tuple(f"/state/runs/shop-20261122T112107-7f3a/report{s}" for s in (".md", ".html", ".json"))
    return ReportView(report=report(**more), findings=FINDINGS, files=files)


def recording(state: Path, **more: Any) -> tuple[StepFlowApp, list[tuple[str, dict[str, Any]]]]:
    """An app, and what it is asked to send to the engine: nothing is sent."""
    app = wizard(state, **more)
    sent: list[tuple[str, dict[str, Any]]] = []

    def act(verb: str, args: Mapping[str, Any] | None = None, **more: Any) -> None:
        sent.append((verb, dict(args or {})))

    app.act = act  # type: ignore[method-assign, assignment]
    return app, sent


def shown(app: StepFlowApp) -> str:
    """What is on the terminal."""
    return "\n".join("".join(s.text for s in strip) for strip in app.screen._compositor.render_strips())


async def drawn_with_keys(pilot: Pilot[Any]) -> None:
    """Wait until the last line has its keys: it makes them after the screen."""
    await pilot.pause()
    while not str(pilot.app.screen.query_one(KeyLine).shown).strip():
        await pilot.pause()
    await pilot.pause()
    await pilot.pause()
