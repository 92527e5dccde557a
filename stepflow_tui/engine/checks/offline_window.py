"""Does the application's standstill fit the maintenance window? Pure: asked when the plan is made, not in the preflight."""

from __future__ import annotations

from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.finding import Finding, info, warning
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.plan.estimates import estimate


def predicted_seconds(plan: Plan, measured: float = 0.0) -> tuple[float, float]:
    """From stopping the application to starting it: a range.

    Args:
        measured: seconds of what was done already and is done again under the lock.
    """
    found = estimate(plan)
    return round(found.low_seconds + measured, 1), round(found.high_seconds + measured, 1)


def window_findings(plan: Plan, config: Config, measured: float = 0.0) -> list[Finding]:
    """The prediction; a warning, which somebody must accept before anything is stopped, when the window may not suffice."""
    if config.mode is not Mode.OFFLINE or not plan.tables:
        return []
    low, high = predicted_seconds(plan, measured)
    allowed = config.cutover.window
    tell, code = (warning, "offline_window_short") if high > allowed else (info, "offline_window_predicted")
    return [tell(code, "cutover.window", low_seconds=low, high_seconds=high, window_seconds=allowed)]
