"""What the plan screen shows: the plan with all that was found on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import Plan

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanView:
    """Everything the plan's pages need.

    Args:
        name: the run's, or the config's.
        plan: None while there is none.
        missing: why there is none, as sentences.
        findings: of checks, census and planning.
        items: checklist rows.
        objects: rows `type name carried reason sql`: a run's journal knows more than its plan.
        steps: state of each step by name; empty before a run.
        seconds: time each step took so far, by name.
        source_bytes: size of the source file.
        config: the config file it comes from.
        wal: its section of a conversion in place, as far as it can be read.
    """

    name: str
    plan: Plan | None = None
    missing: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    items: Rows = ()
    objects: Rows = ()
    steps: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float | None] = field(default_factory=dict)
    source_bytes: int | None = None
    config: Path | None = None
    wal: Wal | None = None


def planned_objects(plan: Plan) -> list[dict[str, Any]]:
    """The plan's objects in the shape of the journal's rows."""
    return [
        {"type": o.type.value, "name": o.name, "tbl": o.table, "carried": o.carried, "reason": o.reason, "sql": o.sql}
        for o in plan.objects
    ]
