"""The alert rule about the application itself, in every mode: a gauge in, an alert out. No clock, no disk, no journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepflow_tui.engine.model.alert import Alert, AlertSeverity

APPLICATION_WATCHED = ("application_unavailable",)
"""Codes the watch resolves by itself when their rule is silent again."""

_ON_PURPOSE = frozenset({"stopping", "stopped", "switching", "starting", "going back"})
"""States in which StepFlow itself has stopped the application: the report counts the seconds, nobody is called."""


def application_rules(availability: Mapping[str, Any], application: Mapping[str, Any]) -> list[Alert]:
    """All alerts these gauges call for; one request without an answer is not an alert yet, two in a row are.

    Args:
        availability: as the sampler shows it.
        application: its `state` tells what StepFlow is doing with it.
    """
    now = availability.get("now") or {}
    gap = float(availability.get("gap_seconds") or 0.0)
    if now.get("ok") is not False or gap <= 0 or application.get("state") in _ON_PURPOSE:
        return []
    return [Alert(code="application_unavailable", severity=AlertSeverity.CRITICAL, params={"seconds": round(gap, 1)})]
