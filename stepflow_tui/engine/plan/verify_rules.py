"""`verify.rules` in the plan: what a live run will not prove stands among its objects, where everybody reads it."""

from __future__ import annotations

from collections.abc import Sequence

from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.plan import ObjectType, TablePlan
from stepflow_tui.engine.plan.parts import Parts


def add_verify_rules(config: Config, tables: Sequence[TablePlan], parts: Parts) -> None:
    """One object per table with a rule."""
    known = {t.source.lower(): t.source for t in tables}
    for name, rule in config.verify.rules.items() if config.mode is Mode.LIVE else ():
        if rule.not_proven and name.lower() in known:
            table = known[name.lower()]
            parts.object(ObjectType.VERIFY_RULE, table, table, carried=True, reason=rule.not_proven)
