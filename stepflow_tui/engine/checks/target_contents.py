"""Is the target schema empty, or made by this run, or prepared as the config says?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.postgres.view import TargetView

NAME = "target_contents"
SHOWN = 20
"""Names listed in one finding."""


async def run(target: TargetView) -> list[Finding]:
    """What `target.tables` promises must hold."""
    if target.error is not None:
        return []
    return _existing(target) if target.wanted.existing else _empty(target)


def _names(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _empty(target: TargetView) -> list[Finding]:
    if target.ours:
        return []
    found = [*(t.name for t in target.tables), *target.other_objects]
    if not found:
        return []
    schema = target.target.schema
    return [
        blocking("target_not_empty", schema, count=len(found), names=_names(found), database=target.target.database)
    ]


def _existing(target: TargetView) -> list[Finding]:
    schema = target.target.schema
    wanted, here = target.wanted.tables, {t.name for t in target.tables}
    findings = [blocking("target_table_missing", f"{schema}.{n}") for n in sorted((wanted or set()) - here)]
    if not wanted and not target.mapped:
        findings.append(blocking("target_no_tables", schema, database=target.target.database))
    if not target.ours:
        findings += [blocking("target_table_not_empty", f"{schema}.{t.name}") for t in target.mapped if t.has_rows]
    for table in target.mapped:
        if table.triggers:
            names = _names([t.name for t in table.triggers])
            findings.append(warning("target_table_triggers", f"{schema}.{table.name}", names=names))
    alone = [t.name for t in target.tables if t.bookkeeping]
    return findings + ([info("target_bookkeeping", schema, names=_names(alone))] if alone else [])
