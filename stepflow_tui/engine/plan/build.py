"""(schema, census, config) → plan. Pure: no clock, no connection."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.config import Config, Mode, TablesMode
from stepflow_tui.engine.model.plan import Plan, PlannedPhase, Stage, TableFacts, TablePlan
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.sensitive import sensitive_columns
from stepflow_tui.engine.plan.checks import add_checks, add_collations
from stepflow_tui.engine.plan.defaults import add_defaults
from stepflow_tui.engine.plan.drafts import Draft, make_drafts
from stepflow_tui.engine.plan.existing import Matched, add_existing, name_objects
from stepflow_tui.engine.plan.foreign_keys import add_foreign_keys
from stepflow_tui.engine.plan.generated import add_generated
from stepflow_tui.engine.plan.hashing import config_hash, plan_hash, schema_hash
from stepflow_tui.engine.plan.indexes import add_index
from stepflow_tui.engine.plan.keys import add_primary_key, add_unique
from stepflow_tui.engine.plan.live import add_live_key, add_rowid_index
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.plan.sequences import add_sequence
from stepflow_tui.engine.plan.tables import add_table, plan_table
from stepflow_tui.engine.plan.translate.helpers import helper_sql, helper_undo
from stepflow_tui.engine.plan.triggers import add_triggers
from stepflow_tui.engine.plan.verify_rules import add_verify_rules
from stepflow_tui.engine.plan.views import add_views
from stepflow_tui.engine.plan.virtual import add_virtual

_ORDER = {stage: number for number, stage in enumerate(Stage)}


def build_plan(
    schema: SourceSchema,
    census: Census,
    config: Config,
    *,
    existing: Matched | None = None,
    phases: tuple[PlannedPhase, ...] = (),
) -> Plan:
    """The whole plan of a sqlite-to-postgres run.

    Args:
        schema: the source's catalog.
        census: types with reasons, and facts, of that very file.
        config: the run's config.
        existing: which table made beforehand takes which source table (`match_existing`); needed with
            `target.tables: existing`.
        phases: phases and steps of the playbook, for the plan's reader and its hash.
    """
    parts = Parts(schema=config.target.schema_name)
    made_beforehand = config.target.tables is TablesMode.EXISTING
    drafts = make_drafts(schema, census, config, parts.relations)
    if config.mode is not Mode.COPY:
        for draft in drafts:
            add_live_key(draft, utf16=schema.utf16, existing=made_beforehand)
    if made_beforehand:
        tables = add_existing(drafts, existing or Matched(), schema, parts)
    else:
        parts.statement(Stage.SCHEMA, "schema", f"create schema if not exists {pg_ident(parts.schema)}")
        tables = _add_all(schema, drafts, parts)
    add_verify_rules(config, tables, parts)
    plan = Plan(
        hash="",
        kind=config.kind.value,
        mode=config.mode.value,
        schema_hash=schema_hash(schema),
        config_hash=config_hash(config),
        encoding=schema.encoding,
        tables=tuple(tables),
        statements=tuple(sorted(parts.statements, key=lambda s: _ORDER[s.stage])),
        objects=tuple(parts.objects),
        phases=phases,
        facts=_facts(drafts),
        name_changes=_name_changes(tables),
        sensitive={
            t: c for t, c in sensitive_columns(schema, config.sensitive).items() if t in {x.source for x in tables}
        },
    )
    return replace(plan, hash=plan_hash(plan))


def _add_all(schema: SourceSchema, drafts: list[Draft], parts: Parts) -> list[TablePlan]:
    utf16 = schema.utf16
    by_name = {d.label.lower(): d for d in drafts}
    tables = []
    add_virtual(schema, {d.label: d.name for d in drafts}, parts)
    for draft in drafts:
        if draft.impossible is None:
            add_generated(draft, parts, utf16=utf16)
            add_defaults(draft, parts, utf16=utf16)
        table = plan_table(draft, parts, utf16=utf16)
        tables.append(table)
        if draft.impossible is None:
            add_table(table, parts)
            add_sequence(table, draft.source, parts)
            add_rowid_index(table, parts)
    pairs = [(d, t) for d, t in zip(drafts, tables, strict=True) if d.impossible is None]
    for draft in drafts:
        if draft.impossible is not None:
            name_objects(draft, parts, reason="its table can't be carried")
    for draft, table in pairs:
        for index in (i for i in draft.source.indexes if i.origin == "c"):
            add_index(draft, table, index, parts, utf16=utf16)
    for draft, table in pairs:
        add_primary_key(draft, table, parts)
        for index in (i for i in draft.source.indexes if i.origin == "u"):
            add_unique(draft, table, index, parts)
        add_checks(draft, table, parts, utf16=utf16)
        add_collations(draft, parts)
    for draft, table in pairs:
        add_foreign_keys(draft, table, by_name, parts)
    catalog = add_views(schema, [d for d, _ in pairs], parts)
    add_triggers(schema, dict(by_name), catalog, parts)
    for helper in sorted(parts.helpers):
        parts.statement(
            Stage.SCHEMA,
            f"function {helper}",
            helper_sql(parts.schema, helper),
            undo=helper_undo(parts.schema, helper),
        )
    return tables


def _facts(drafts: list[Draft]) -> dict[str, TableFacts]:
    return {d.label: d.facts for d in drafts if d.impossible is None}


def _name_changes(tables: list[TablePlan]) -> dict[str, str]:
    changes = {t.source: t.name for t in tables if t.source != t.name}
    for table in tables:
        changes.update(
            {f"{table.source}.{c.source}": f"{table.name}.{c.target}" for c in table.columns if c.source != c.target}
        )
    return changes
