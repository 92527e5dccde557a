"""Census and plan for a config: what the run's steps and the commands `check`, `plan` and `verify` share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.checks.live_tables import live_table_findings
from stepflow_tui.engine.live.rules import table_rules
from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.config import Config, Mode, TablesMode
from stepflow_tui.engine.model.control import Control, Report, silent
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import Plan, PlannedPhase
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.plan.build import build_plan
from stepflow_tui.engine.plan.existing import Matched, match_existing
from stepflow_tui.engine.plan.names import chosen
from stepflow_tui.engine.sqlite.census import take_census
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.masking import masked_census, sensitive_findings

if TYPE_CHECKING:
    from stepflow_tui.engine.postgres.view import TargetView


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A plan, and what was found while making it."""

    plan: Plan
    findings: Sequence[Finding]


async def census_of(
    path: Path,
    schema: SourceSchema,
    config: Config,
    view: TargetView,
    *,
    frozen: bool,
    mask: Mask,
    control: Control | None = None,
    report: Report = silent,
) -> Census:
    """Count the tables the config selects; what it tells of sensitive columns are counts and fingerprints."""
    wanted = replace(schema, tables=tuple(t for t in schema.tables if chosen(t.name, config.tables)))
    matched = _matched(schema, config, view)
    with sqlite_errors(f"The census of {path}"):
        found = await take_census(
            path,
            wanted,
            frozen=frozen,
            types=config.types,
            on_bad_value=config.copying.on_bad_value,
            existing=matched.for_census() if matched is not None else None,
            growing=config.mode is Mode.LIVE,
            control=control,
            report=report,
        )
    return masked_census(found, schema, mask)


def make_plan(
    schema: SourceSchema, census: Census, config: Config, view: TargetView, phases: tuple[PlannedPhase, ...] = ()
) -> Made:
    """The plan, and the findings about tables made beforehand, tables that can't be captured, and sensitive columns.

    Raises:
        UsageError: `verify.rules` don't fit the planned types.
    """
    matched = _matched(schema, config, view)
    plan = build_plan(schema, census, config, existing=matched, phases=phases)
    if config.mode is Mode.LIVE:
        table_rules(config.verify.rules, plan.tables)
    made_beforehand = matched.findings if matched is not None else ()
    live = live_table_findings(plan, schema, config)
    return Made(plan=plan, findings=(*made_beforehand, *live, *sensitive_findings(plan.sensitive)))


def _matched(schema: SourceSchema, config: Config, view: TargetView) -> Matched | None:
    if config.target.tables is not TablesMode.EXISTING:
        return None
    return match_existing(schema, config, [t.made() for t in view.tables if not t.bookkeeping])
