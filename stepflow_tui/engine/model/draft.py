"""A config that is being made: what the wizard's pages and the options of `init` gather."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EMBEDDED = "embedded"
ENVIRONMENT = "environment"
"""Targets that are no address: StepFlow's own PostgreSQL, and libpq's variables with ~/.pgpass."""
VARIABLE = "${DATABASE_URL}"
"""The target where nothing else is said."""

CHOICES: dict[str, tuple[str, ...]] = {
    "mode": ("copy", "live"),
    "level": ("basic", "standard", "detailed", "comprehensive"),
    "on_bad_value": ("reject", "bytea", "replace"),
}
"""What may be chosen, the gentlest first; `Draft` has the defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be written. `source` as typed (relative to the current folder), `target` an address without password, a
    `${VARIABLE}`, `embedded` or `environment`; `name` empty: made from the source's. `owners`: checklist item → person."""

    source: str
    kind: str = "sqlite-to-postgres"
    mode: str = "copy"
    target: str = VARIABLE
    name: str = ""
    environment: str = "staging"
    schema: str = "public"
    level: str = "detailed"
    on_bad_value: str = "reject"
    backup_dir: str = ""
    owners: Mapping[str, str] = field(default_factory=dict)
