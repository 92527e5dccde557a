"""What people see of the read switch: the `switch` gauge."""

from __future__ import annotations

from typing import Any

from stepflow_tui.client.figures import Arm
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.postgres.switch import SwitchRow
from stepflow_tui.engine.switch.guard import Alarm
from stepflow_tui.engine.switch.reports import Batch
from stepflow_tui.engine.switch.strategies import Decision, Strategy, percentages


def gauge_of(
    row: SwitchRow, strategy: Strategy, decision: Decision, total: Batch, alarm: Alarm | None, *, suspended: bool,
    trouble: str | None, cool_down_left: float, held_seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """The gauge. Times in seconds, or milliseconds where the name says so.

    Args:
        row: the truth.
        strategy, decision: where it stands and what was decided last.
        total: figures since the engine started.
        alarm: why reads were moved back, None where that is not known any more.
        suspended: routers are told to read the old side whatever the row says.
        trouble: code of the error that the newest round ended with.
        cool_down_left: until the switch can be armed again.
        held_seconds: for how long this share has been held: the next engine goes on from there.
    """
    both = total.both
    return {
        "strategy": row.strategy,
        "stage": row.stage,
        "stages": list(percentages(strategy)),
        "percentage": row.share / 100,
        "version": row.version,
        "owner": Owner.SQLITE.value,
        "groups": list(row.groups),
        "held_seconds": round(held_seconds, 1),
        "soak_left_seconds": round(decision.soak_left, 1),
        "old": _arm(both.old),
        "new": _arm(both.new),
        "mismatches": total.mismatches,
        "shadow_reads": total.shadows,
        "reported": total.reads.old.requests + total.reads.new.requests,
        "moving": total.moving,
        "skipped": total.skipped,
        "refused_reports": total.refused,
        "rolled_back": _rolled_back(row, alarm),
        "rollbacks": row.rollbacks,
        "held": row.held,
        "suspended": suspended,
        "trouble": trouble,
        "cool_down_left_seconds": 0.0 if row.armed else round(cool_down_left, 1),
        "verdict": {"code": _code(decision, total), "params": decision.params},
    }


def _arm(arm: Arm) -> dict[str, Any]:
    return {
        "requests": arm.requests,
        "errors": arm.errors + arm.timeouts,
        "p50_ms": _ms(arm.quantile(0.5)),
        "p95_ms": _ms(arm.quantile(0.95)),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _rolled_back(row: SwitchRow, alarm: Alarm | None) -> dict[str, Any] | bool:
    if row.armed:
        return False
    return {"signal": alarm.signal.value, "params": alarm.params} if alarm is not None else True


def _code(decision: Decision, total: Batch) -> str:
    """Figures of shadow reads alone say less than those of an application."""
    alone = total.shadows and not total.reads.old.requests and not total.reads.new.requests
    return "shadow" if decision.code == "measuring" and alone else decision.code
