"""A plan as text: phases and steps, the type of every column with its reason, what is not carried, the DDL, the hash."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import ColumnFacts, Plan, PlannedObject, TablePlan
from stepflow_tui.engine.plan.estimates import estimate
from stepflow_tui.engine.texts.language import _, known, language
from stepflow_tui.engine.texts.running import step_title
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean, clean_line
from stepflow_tui.render.findings import finding_json, findings_lines
from stepflow_tui.render.risks import risk_lines, risks_json
from stepflow_tui.render.wal_plan import change_lines, in_place_estimate
from stepflow_tui.render.width import cells, pad


def plan_json(plan: Plan, findings: Sequence[Finding], items: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The plan as one object, with its findings, risks and acceptance criteria. `items` is the checklist."""
    plain: dict[str, Any] = to_plain(plan)
    return {
        **plain,
        "estimate": to_plain(estimate(plan)),
        "not_carried": [to_plain(o) for o in plan.objects if not o.carried],
        "findings": [finding_json(f) for f in findings],
        **risks_json(items, findings),
    }


def plan_lines(
    plan: Plan,
    findings: Sequence[Finding],
    items: Sequence[Mapping[str, Any]] = (),
    *,
    sql: bool,
    wal: Wal | None = None,
) -> Iterator[str]:
    """The whole plan for people. `items` is the checklist, `wal` the config's section of a conversion in place."""
    if plan.kind in IN_PLACE:
        yield from _in_place_lines(plan, findings, items, wal)
        return
    head = _("Plan of {kind}, mode {mode}; source encoding {encoding}")
    yield head.format(kind=plan.kind, mode=plan.mode, encoding=plan.encoding)
    yield from _phases(plan)
    yield from _tables(plan)
    yield from _names(plan)
    yield from _objects(_("Will NOT be carried"), [o for o in plan.objects if not o.carried])
    yield from _objects(_("Carried in another form"), [o for o in plan.objects if o.carried and o.reason])
    if sql:
        yield from ("", "SQL", *sql_lines(plan))
    yield ""
    yield _("Findings")
    yield from (f"  {line}" for line in findings_lines(findings))
    yield ""
    yield from risk_lines(items, findings)
    yield ""
    yield _("Plan hash {hash}").format(hash=plan.hash)


def _in_place_lines(
    plan: Plan, findings: Sequence[Finding], items: Sequence[Mapping[str, Any]], wal: Wal | None
) -> Iterator[str]:
    yield _("Plan of {kind}, mode {mode}").format(kind=plan.kind, mode=plan.mode)
    yield ""
    yield _("What changes")
    yield from (f"  {line}" for line in change_lines(plan, findings, wal))
    yield from _phases(plan)
    yield ""
    yield from in_place_estimate(plan)
    yield ""
    yield _("Findings")
    yield from (f"  {line}" for line in findings_lines(findings))
    yield ""
    yield from risk_lines(items, findings)
    yield ""
    yield _("Plan hash {hash}").format(hash=plan.hash)


def plan_sections(
    plan: Plan, findings: Sequence[Finding], items: Sequence[Mapping[str, Any]] = (), wal: Wal | None = None
) -> Mapping[str, Sequence[str]]:
    """The plan in parts, each with its title."""
    if plan.kind in IN_PLACE:
        own = (
            (_("what changes, and what your application sets"), change_lines(plan, findings, wal)),
            (_("phases and steps, and what going back would lose"), _phases(plan)),
            (_("tables and estimates"), in_place_estimate(plan)),
            (_("findings, with fixes"), findings_lines(findings)),
            (_("risks, and what proves that they are met"), risk_lines(items, findings)),
        )
        return {title: [line for line in lines if line] for title, lines in own}
    left_out = [o for o in plan.objects if not o.carried]
    changed = [o for o in plan.objects if o.carried and o.reason]
    parts = (
        (_("phases and steps, and what going back would lose"), _phases(plan)),
        (_("tables, types, estimates"), _tables(plan)),
        (_("names that change"), _names(plan)),
        (_("objects that will not be carried"), _objects(_("Will NOT be carried"), left_out)),
        (_("objects carried in another form"), _objects(_("Carried in another form"), changed)),
        (_("the SQL"), sql_lines(plan)),
        (_("findings, with fixes"), findings_lines(findings)),
        (_("risks, and what proves that they are met"), risk_lines(items, findings)),
    )
    return {title: [line for line in lines if line] for title, lines in parts}


def _phases(plan: Plan) -> Iterator[str]:
    yield ""
    yield _("Phases and steps")
    for phase in plan.phases:
        yield f"  {_phase_words(phase.name, plan)}"
        for step in phase.steps:
            danger = (
                "" if step.danger == "none" else _(" [{danger} confirmation]").format(danger=words.term(step.danger))
            )
            loses = _("; going back would lose: {loses}").format(loses=known(step.loses)) if step.loses else ""
            yield f"    {step_words(step.name, plan.kind)}{danger}{loses}"


def _phase_words(name: str, plan: Plan) -> str:
    """A phase's name, by which commands take it; with its title where that says something else in this kind."""
    title = words.phase(name, plan.kind, plan.mode)
    return words.phrase(name) if title == words.phase(name) else words.about(words.phrase(name), title)


def step_words(name: str, kind: str = "") -> str:
    """A step's name as words; in other languages its title, for names are English. A hook's name is none at all."""
    named = language() == "en" and not name.startswith("hook-")
    return words.spaced(name) if named else known(step_title(name, kind))


def _tables(plan: Plan) -> Iterator[str]:
    guess = estimate(plan)
    yield ""
    yield _("Tables: {tables}, with {rows} rows").format(tables=len(plan.tables), rows=words.count(guess.rows))
    text = _(
        "Estimate: {size} of values, {low} to {high} for the whole run (rough: it depends on disks, cores and load)"
    )
    low, high = words.seconds(guess.low_seconds), words.seconds(guess.high_seconds)
    yield text.format(size=words.size(guess.bytes), low=low, high=high)
    for table in plan.tables:
        yield from _table(table, plan)


def _table(table: TablePlan, plan: Plan) -> Iterator[str]:
    facts = plan.facts.get(table.source)
    rows = f", {words.amount(facts.rows, 'rows')}" if facts else ""
    beforehand = " " + _("(made beforehand)") if table.existing else ""
    yield ""
    yield clean_line(f"  {table.source} → {table.target}{rows}{beforehand}")
    if table.impossible:
        yield "    " + _("can't be copied: {reason}").format(reason=known(table.impossible))
        return
    width = min(40, max((cells(c.target) for c in table.columns), default=0))
    for column in table.columns:
        extra = " not null" if column.not_null else ""
        extra += " identity" if column.identity else ""
        extra += f" default {column.default}" if column.default else ""
        extra += f" generated as {column.generated}" if column.generated else ""
        reason = f"  -- {known(column.reason)}" if column.reason else ""
        declared = column.declared or _("(no type)")
        yield clean_line(f"    {pad(column.target, width)}  {declared} → {column.type.sql}{extra}{reason}")
        yield from _column_facts(facts.columns.get(column.source) if facts else None)


def _column_facts(facts: ColumnFacts | None) -> Iterator[str]:
    if facts is None:
        return
    if facts.violations:
        yield "      " + _("{count} values go the slow way").format(count=words.count(facts.violations))
    if facts.proposal:
        yield clean_line("      " + _("proposal for types: {proposal}").format(proposal=facts.proposal))


def _names(plan: Plan) -> Iterator[str]:
    if not plan.name_changes:
        return
    yield ""
    yield _("Names that change")
    for old, new in plan.name_changes.items():
        yield clean_line(f"  {old} → {new}")


def _objects(title: str, objects: Sequence[PlannedObject]) -> Iterator[str]:
    if not objects:
        return
    yield ""
    yield f"{title} ({len(objects)})"
    for item in objects:
        yield "  " + clean_line(words.about(f"{words.term(item.type.value)} {item.name}", known(item.reason)))
        if item.sql and not item.carried:
            yield clean_line(f"    {item.sql}")


def sql_lines(plan: Plan) -> Iterator[str]:
    """The generated SQL by stage, as a script."""
    stage = None
    for statement in plan.statements:
        if statement.stage is not stage:
            stage = statement.stage
            yield f"-- {words.spaced(stage.value)}"
        yield from f"{statement.sql.rstrip(';')};".split("\n")


def sql_text(plan: Plan) -> str:
    """The generated SQL as the text of a file."""
    return "".join(f"{clean(line)}\n" for line in sql_lines(plan))


def plan_text(plan: Plan, findings: Sequence[Finding], items: Sequence[Mapping[str, Any]]) -> str:
    """The plan as the text of a file that `run --plan` takes."""
    return json.dumps(to_plain(plan_json(plan, findings, items)), indent=2, ensure_ascii=True) + "\n"
