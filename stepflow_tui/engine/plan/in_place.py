"""(schema, config) → plan of a database that stays where it is: its tables, the steps, the hash. Pure."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.plan import (
    Compare,
    CompareKind,
    Plan,
    PlannedPhase,
    TableFacts,
    TablePlan,
    Walk,
    WalkKind,
)
from stepflow_tui.engine.model.schema import SourceSchema, TableKind
from stepflow_tui.engine.plan.hashing import config_hash, plan_hash, schema_hash

MAIN = "main"
"""SQLite's own name of the database that a connection opened."""


def plan_in_place(
    schema: SourceSchema,
    config: Config,
    phases: tuple[PlannedPhase, ...] = (),
    rows: dict[str, int] | None = None,
) -> Plan:
    """The plan: no type is chosen and nothing is made, every table is compared with what it was.

    Args:
        schema: the source's catalog. A virtual table keeps its rows in its shadow tables, which are compared.
        config: the run's config.
        phases: phases and steps of the playbook, for the plan's reader and its hash.
        rows: rows by table, where they were counted. Not part of the hash.
    """
    stored = [t.name for t in schema.tables if t.kind is not TableKind.VIRTUAL]
    plan = Plan(
        hash="",
        kind=config.kind.value,
        mode=config.mode.value,
        schema_hash=schema_hash(schema),
        config_hash=config_hash(config),
        encoding=schema.encoding,
        tables=tuple(_table(name) for name in stored),
        statements=(),
        objects=(),
        phases=phases,
        facts={name: TableFacts(rows=count) for name, count in (rows or {}).items() if name in stored},
    )
    return replace(plan, hash=plan_hash(plan))


def _table(name: str) -> TablePlan:
    walk, compare = Walk(kind=WalkKind.SINGLE), Compare(kind=CompareKind.ORDERED)
    return TablePlan(source=name, schema=MAIN, name=name, columns=(), walk=walk, compare=compare)
