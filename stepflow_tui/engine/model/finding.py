"""What a check found: code plus parameters. The words live in `engine.texts`, so one journal reads in every language."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs."""

    BLOCKING = "blocking"  # never overridden
    WARNING = "warning"  # needs a yes
    INFO = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding. `object` names the table, column, file or setting it is about."""

    code: str
    severity: Severity
    params: dict[str, str | int | float | None] = field(default_factory=dict)
    object: str | None = None


def blocking(code: str, obj: str | None = None, **params: str | int | float | None) -> Finding:
    """A finding that stops the run."""
    return Finding(code=code, severity=Severity.BLOCKING, params=params, object=obj)


def warning(code: str, obj: str | None = None, **params: str | int | float | None) -> Finding:
    """A finding that a person, or `--yes`, has to accept."""
    return Finding(code=code, severity=Severity.WARNING, params=params, object=obj)


def info(code: str, obj: str | None = None, **params: str | int | float | None) -> Finding:
    """A finding to know about."""
    return Finding(code=code, severity=Severity.INFO, params=params, object=obj)
