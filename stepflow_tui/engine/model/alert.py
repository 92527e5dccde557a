"""Alerts as data: raised by rules, kept in the journal, shown and acknowledged by people."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class AlertSeverity(StrEnum):
    """How urgent an alert is."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert. Open alerts of the same `code` and `key` are one, with a count. `params` carry counts, never row data."""

    code: str
    key: str = ""
    severity: AlertSeverity = AlertSeverity.WARNING
    params: dict[str, str | int | float | None] = field(default_factory=dict)
