"""Who hides the values of sensitive columns: the mask of a run, and of what the census found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from stepflow_tui.engine.journal.audit import load_key
from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, info
from stepflow_tui.engine.model.plan import Plan, TableFacts
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.sensitive import Mask, Sensitive, Why, make_mask, mask_key, sensitive_columns
from stepflow_tui.engine.model.sensitive_names import proposed
from stepflow_tui.engine.sqlite.restore_test import RestoreTest
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import frozen_of

_BOUNDS = ("minimum", "maximum")


def source_mask(schema: SourceSchema, config: Config, state_dir: Path, plan: Plan | None = None) -> Mask:
    """The mask over what the config and the columns' names say, and over what a plan said before: a line taken out of
    the config does not uncover what an earlier engine has hidden.

    Raises:
        Refused: the state directory's key is damaged.
    """
    earlier = plan.sensitive if plan is not None else {}
    return make_mask(_key(state_dir), sensitive_columns(schema, config.sensitive), earlier)


async def mask_of(ctx: RunContext) -> Mask:
    """The run's mask."""
    known = ctx.memory.find(Mask)
    if known is None:
        plan = ctx.memory.find(Plan) or await ctx.journal.load_plan()
        known = source_mask((await frozen_of(ctx)).schema, ctx.config, ctx.state_dir, plan)
        ctx.memory.put(known)
    return known


def planned_mask(plan: Plan, config: Config, state_dir: Path) -> Mask:
    """The mask of what plan, config and names say: it needs no source and no backup."""
    configured = {t: dict.fromkeys(columns, Why.CONFIGURED.value) for t, columns in config.sensitive.items()}
    named = {t.source: {c.source: Why.NAME.value for c in t.columns if proposed(c.source)} for t in plan.tables}
    return make_mask(_key(state_dir), plan.sensitive, configured, named)


def _key(state_dir: Path) -> bytes:
    secret = load_key(state_dir, create=True)
    assert secret is not None
    return mask_key(secret)


def masked_census(census: Census, schema: SourceSchema, mask: Mask) -> Census:
    """The census without values of sensitive columns: bounds become fingerprints, before anything is kept of it."""
    facts = {name: _facts(name, found, schema, mask) for name, found in census.facts.items()}
    places = {f"{table}.{column}" for table, columns in mask.columns.items() for column in columns}
    findings = tuple(_finding(f, mask) if f.object in places else f for f in census.findings)
    return replace(census, facts=facts, findings=findings)


def _facts(table: str, facts: TableFacts, schema: SourceSchema, mask: Mask) -> TableFacts:
    columns = {
        name: replace(c, minimum=_shown(mask, c.minimum), maximum=_shown(mask, c.maximum))
        if mask.covers(table, name)
        else c
        for name, c in facts.columns.items()
    }
    # rows that can't go the fast way are found out by their segments too, only later
    named = mask.covers(table, schema.table(table).rowid_alias or "")
    return replace(facts, columns=columns, bad_rowids=() if named else facts.bad_rowids)


def masked_test(test: RestoreTest, schema: SourceSchema, mask: Mask) -> RestoreTest:
    """The restore test without rowids that are values of a sensitive column."""
    keys = tuple(
        replace(k, first_keys=tuple(mask.fingerprint(int(n)) for n in k.first_keys))
        if mask.covers(k.table, schema.table(k.table).rowid_alias or "")
        else k
        for k in test.foreign_keys
    )
    return replace(test, foreign_keys=keys)


def _finding(found: Finding, mask: Mask) -> Finding:
    hidden = {k: _shown(mask, v) if k in _BOUNDS and isinstance(v, str) else v for k, v in found.params.items()}
    return replace(found, params=hidden)


def _shown(mask: Mask, value: str | None) -> str | None:
    return None if value is None else mask.fingerprint(value)


_CODES = {
    Why.NAME: "sensitive_columns",
    Why.CONFIGURED: "sensitive_columns_configured",
    Why.TIED: "sensitive_columns_tied",
}


def sensitive_findings(sensitive: Sensitive) -> list[Finding]:
    """Which columns are sensitive, one finding per reason."""
    found = []
    for why, code in _CODES.items():
        names = _named(sensitive, why)
        if names:
            found.append(info(code, None, columns=", ".join(names), count=len(names)))
    return found


def _named(sensitive: Mapping[str, Mapping[str, str]], why: Why) -> list[str]:
    return [f"{table}.{column}" for table, columns in sensitive.items() for column, w in columns.items() if w == why]
