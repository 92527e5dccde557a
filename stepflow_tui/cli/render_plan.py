"""A plan as text: phases and steps, the type of every column with its reason, what is not carried, the DDL, the hash."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from stepflow_tui.cli import words
from stepflow_tui.cli.output import clean_line
from stepflow_tui.cli.render_findings import finding_json, findings_lines
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import ColumnFacts, Plan, PlannedObject, TablePlan
from stepflow_tui.engine.plan.estimates import estimate


def plan_json(plan: Plan, findings: Sequence[Finding]) -> dict[str, Any]:
    """The plan as one object, with its findings."""
    plain: dict[str, Any] = to_plain(plan)
    return {
        **plain,
        "estimate": to_plain(estimate(plan)),
        "not_carried": [to_plain(o) for o in plan.objects if not o.carried],
        "findings": [finding_json(f) for f in findings],
    }


def plan_lines(plan: Plan, findings: Sequence[Finding], *, sql: bool) -> Iterator[str]:
    """The whole plan for people."""
    yield f"Plan of {plan.kind}, mode {plan.mode}; source encoding {plan.encoding}"
    yield from _phases(plan)
    yield from _tables(plan)
    yield from _names(plan)
    yield from _objects("Will NOT be carried", [o for o in plan.objects if not o.carried])
    yield from _objects("Carried in another form", [o for o in plan.objects if o.carried and o.reason])
    if sql:
        yield from sql_lines(plan)
    yield ""
    yield "Findings"
    yield from (f"  {line}" for line in findings_lines(findings))
    yield ""
    yield f"Plan hash {plan.hash}"


def _phases(plan: Plan) -> Iterator[str]:
    yield ""
    yield "Phases and steps"
    for phase in plan.phases:
        yield f"  {words.spaced(phase.name)}"
        for step in phase.steps:
            danger = "" if step.danger == "none" else f" [{step.danger} confirmation]"
            loses = f"; going back would lose: {step.loses}" if step.loses else ""
            yield f"    {words.spaced(step.name)}{danger}{loses}"


def _tables(plan: Plan) -> Iterator[str]:
    guess = estimate(plan)
    yield ""
    yield f"Tables: {len(plan.tables)}, with {words.count(guess.rows)} rows"
    yield (
        f"Estimate: {words.size(guess.bytes)} of values, {words.seconds(guess.low_seconds)} to"
        f" {words.seconds(guess.high_seconds)} for the whole run (rough: it depends on disks, cores and load)"
    )
    for table in plan.tables:
        yield from _table(table, plan)


def _table(table: TablePlan, plan: Plan) -> Iterator[str]:
    facts = plan.facts.get(table.source)
    rows = f", {words.count(facts.rows)} rows" if facts else ""
    yield ""
    yield clean_line(f"  {table.source} → {table.target}{rows}" + (" (made beforehand)" if table.existing else ""))
    if table.impossible:
        yield f"    can't be copied: {table.impossible}"
        return
    width = min(40, max((len(c.target) for c in table.columns), default=0))
    for column in table.columns:
        extra = " not null" if column.not_null else ""
        extra += " identity" if column.identity else ""
        extra += f" default {column.default}" if column.default else ""
        extra += f" generated as {column.generated}" if column.generated else ""
        reason = f"  -- {column.reason}" if column.reason else ""
        yield clean_line(
            f"    {column.target:{width}}  {column.declared or '(no type)'} → {column.type.sql}{extra}{reason}"
        )
        yield from _column_facts(facts.columns.get(column.source) if facts else None)


def _column_facts(facts: ColumnFacts | None) -> Iterator[str]:
    if facts is None:
        return
    if facts.violations:
        yield f"      {words.count(facts.violations)} values go the slow way"
    if facts.proposal:
        yield clean_line(f"      proposal for types: {facts.proposal}")


def _names(plan: Plan) -> Iterator[str]:
    if not plan.name_changes:
        return
    yield ""
    yield "Names that change"
    for old, new in plan.name_changes.items():
        yield clean_line(f"  {old} → {new}")


def _objects(title: str, objects: Sequence[PlannedObject]) -> Iterator[str]:
    if not objects:
        return
    yield ""
    yield f"{title} ({len(objects)})"
    for item in objects:
        yield clean_line(f"  {item.type.value} {item.name}: {item.reason}")
        if item.sql and not item.carried:
            yield clean_line(f"    {item.sql}")


def sql_lines(plan: Plan) -> Iterator[str]:
    """The generated SQL by stage, as a script."""
    stage = None
    yield ""
    yield "SQL"
    for statement in plan.statements:
        if statement.stage is not stage:
            stage = statement.stage
            yield f"-- {words.spaced(stage.value)}"
        yield statement.sql.rstrip(";") + ";"
