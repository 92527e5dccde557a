"""Do the tables named in the config exist, and which does it leave out?"""

from __future__ import annotations

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.checks.nearest import nearest
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.model.schema import TableKind
from stepflow_tui.engine.plan.names import chosen, matches


async def run(ctx: CheckContext) -> list[Finding]:
    """A name that matches no table stops the run; a pattern that matches none is a warning. What is left out is named."""
    assert ctx.schema is not None
    names = [t.name for t in ctx.schema.tables]
    tables = ctx.config.tables
    found = []
    for key, patterns in (("tables.include", tables.include), ("tables.exclude", tables.exclude)):
        for pattern in patterns:
            if pattern != "*" and not any(matches(name, pattern) for name in names):
                found.append(_missing(key, pattern, names, pattern=any(c in pattern for c in "*?[")))
    known = {n.lower() for n in names} | {v.name.lower() for v in ctx.schema.views}
    found += [
        _missing("tables.rename", name, names, pattern=False) for name in tables.rename if name.lower() not in known
    ]
    left = [t.name for t in ctx.schema.tables if t.kind is not TableKind.SHADOW and not chosen(t.name, tables)]
    if left:
        found.append(info("tables_left_out", None, count=len(left), names=", ".join(left)))
    return found


def _missing(key: str, name: str, names: list[str], *, pattern: bool) -> Finding:
    if pattern:
        return warning("config_pattern_without_table", key, key=key, name=name)
    return blocking("config_unknown_table", key, key=key, name=name, nearest=nearest(name, names))
