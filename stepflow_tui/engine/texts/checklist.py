"""Texts of findings: checklist."""

from __future__ import annotations

from stepflow_tui.engine.texts import Words

FINDINGS: dict[str, Words] = {}
