"""A config that is being made: what the wizard's pages and the options of `init` gather."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

EMBEDDED = "embedded"
ENVIRONMENT = "environment"
"""Targets that are no address: StepFlow's own PostgreSQL, and libpq's variables with ~/.pgpass."""
VARIABLES = "variables"
"""A target that `database_env` looks up: the config leaves it out."""
VARIABLE = "${DATABASE_URL}"
"""The target where nothing else is said."""

CHOICES: dict[str, tuple[str, ...]] = {
    "mode": ("copy", "live", "offline"),
    "level": ("basic", "standard", "detailed", "comprehensive"),
    "on_bad_value": ("reject", "bytea", "replace"),
}
"""What may be chosen, the gentlest first; `Draft` has the defaults."""
MODES: dict[str, tuple[str, ...]] = {"sqlite-to-postgres": CHOICES["mode"], "sqlite-wal": ("in-place", "offline")}
"""Modes of each kind, its own way first."""
IN_PLACE = frozenset({"sqlite-wal"})
"""Kinds whose database stays where it is: they have no target."""


RECIPES: dict[str, tuple[str, ...]] = {
    "systemd": ("unit",),
    "compose": ("file", "service"),
    "docker": ("container",),
    "kubectl": ("deployment", "namespace"),
    "git": ("directory", "revision"),
    "image": ("image",),
    "directory": ("directory", "release"),
    "command": ("command", "pid_file"),
}
"""How an application is stopped, deployed and started: the keys that are asked for, the one that can't be left out first."""
FILES = frozenset({"file", "directory", "release", "pid_file"})
"""Keys whose values are paths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationDraft:
    """The application's side. `recipe` "" for none, `fields` its keys; `settings` key and value each, changed in
    `settings_file`; `health` and `availability` are addresses. Paths as typed."""

    recipe: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    settings_file: str = ""
    settings: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    health: str = field(default="", repr=False)
    availability: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What is to be written. `source` as typed (relative to the current folder), `target` an address without password, a
    `${VARIABLE}`, `embedded` or `environment`; `name` empty: made from the source's. `owners`: checklist item → person; `window`: how long an
    offline run may take. `max_wait`, `page_size` ("" as it is) and `observe` ("" as the kind has it) belong to `sqlite-wal`, which has no target. `env_file` or
    `env_prefix`: source (empty) and target (`variables`) are looked up in the environment and that file."""

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
    window: str = "30m"
    application: ApplicationDraft = field(default_factory=ApplicationDraft)
    max_wait: str = "60s"
    page_size: str = ""
    observe: str = ""
    env_file: str = ""
    env_prefix: str | None = None
