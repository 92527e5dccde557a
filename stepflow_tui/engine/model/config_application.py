"""The parts of the config about the application around the data: switches, health, hooks, checklists, alerts.

They are checked in every version, because the file's format is fixed; the playbooks that use them come one by one.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from stepflow_tui.engine.model.config_units import ConfigPath, Duration, Whole, problem


class Section(BaseModel):
    """A mapping of the config file: frozen, unknown keys refused, input never repeated in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=False)


class RecipeKind(StrEnum):
    """How the application is stopped, switched and started."""

    SYSTEMD = "systemd"
    COMPOSE = "compose"
    DOCKER = "docker"
    KUBECTL = "kubectl"
    GIT = "git"
    IMAGE = "image"
    DIRECTORY = "directory"
    COMMAND = "command"


_RECIPE_NEEDS = {
    RecipeKind.SYSTEMD: "unit",
    RecipeKind.COMPOSE: "file",
    RecipeKind.DOCKER: "container",
    RecipeKind.KUBECTL: "deployment",
    RecipeKind.GIT: "directory",
    RecipeKind.IMAGE: "image",
    RecipeKind.DIRECTORY: "directory",
    RecipeKind.COMMAND: "command",
}


class Recipe(Section):
    """How to restart the application; each kind needs its own key."""

    kind: RecipeKind
    unit: str | None = None
    file: ConfigPath | None = None
    service: str | None = None
    container: str | None = None
    deployment: str | None = None
    namespace: str | None = None
    image: str | None = None
    revision: str | None = None
    directory: ConfigPath | None = None
    command: str | None = Field(default=None, repr=False)

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        needed = _RECIPE_NEEDS[self.kind]
        if getattr(self, needed) is None:
            raise problem(f"a {self.kind.value} recipe needs `{needed}`", f"add {needed}: …")
        return self


class Switch(Section):
    """Settings of the application that are changed at the switch; all entries are one group."""

    file: ConfigPath
    assignments: dict[str, SecretStr] = Field(alias="set", min_length=1)


class Health(Section):
    """One health check: exactly one of http, websocket, tcp, sql, command."""

    http: str | None = Field(default=None, repr=False)
    websocket: str | None = Field(default=None, repr=False)
    tcp: str | None = Field(default=None, repr=False)
    sql: str | None = Field(default=None, repr=False)
    command: str | None = Field(default=None, repr=False)
    status: Whole = Field(default=200, ge=100, le=599)
    interval: Duration = Field(default=30.0, gt=0)
    timeout: Duration = Field(default=10.0, gt=0)
    retries: Whole = Field(default=3, ge=1)
    start_period: Duration = Field(default=10.0, ge=0)

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [k for k in ("http", "websocket", "tcp", "sql", "command") if getattr(self, k) is not None]
        if len(given) != 1:
            raise problem("a health check asks in exactly one way", "one of http, websocket, tcp, sql or command")
        return self


class Availability(Section):
    """What is asked all the time while reads and writes move, to measure the longest gap."""

    http: str = Field(repr=False)
    every: Duration = Field(default=1.0, gt=0)


class Application(Section):
    """The application; what is left out becomes a checklist item."""

    switches: tuple[Switch, ...] = ()
    recipe: Recipe | None = None
    health: tuple[Health, ...] = ()
    availability: Availability | None = None
    backup: tuple[ConfigPath, ...] = ()


class ChecklistItem(Section):
    """One item of the operator's own; a plain text is its title. `check` is a command whose exit status 0 ticks it."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    title: str = Field(min_length=1)
    owner: str | None = None
    due: str | None = None
    check: str | None = Field(default=None, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        item = {"title": value} if isinstance(value, str) else value
        if isinstance(item, dict) and "id" not in item:
            item = {"id": item_id(str(item.get("title"))), **item}
        return item


def item_id(title: str) -> str:
    """A stable id made from a title."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:60].strip("-")
    return words or f"item-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


class Checklist(Section):
    """The operator's own items, added to the playbook's."""

    before: tuple[ChecklistItem, ...] = ()
    during: tuple[ChecklistItem, ...] = ()
    after: tuple[ChecklistItem, ...] = ()
    rollback_before: tuple[ChecklistItem, ...] = ()
    rollback_during: tuple[ChecklistItem, ...] = ()
    rollback_after: tuple[ChecklistItem, ...] = ()

    @model_validator(mode="after")
    def _unique_ids(self) -> Self:
        ids = [item.id for group in type(self).model_fields for item in getattr(self, group)]
        twice = sorted({i for i in ids if ids.count(i) > 1})
        if twice:
            raise problem(f"two items have the id {twice[0]}", "give each item an id of its own")
        return self


class Hook(Section):
    """A command run at the start or end of a phase. `undo` takes it back at a rollback."""

    run: str = Field(min_length=1, repr=False)
    timeout: Duration = Field(default=300.0, gt=0)
    env: dict[str, SecretStr] = Field(default_factory=dict)
    undo: str | None = Field(default=None, repr=False)


class PhaseHooks(Section):
    """Hooks of one phase."""

    before: tuple[Hook, ...] = ()
    after: tuple[Hook, ...] = ()


class Alerts(Section):
    """Alert rules by code, and channels as apprise addresses (they contain tokens, so they are secrets)."""

    rules: dict[str, Any] = Field(default_factory=dict)
    channels: tuple[SecretStr, ...] = ()
