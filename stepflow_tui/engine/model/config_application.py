"""The parts of the config about the application around the data: switches, health, hooks, checklists, alerts.

They are checked in every version, because the file's format is fixed; the playbooks that use them come one by one.
"""

from __future__ import annotations

import hashlib
import re
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from stepflow_tui.engine.model.config_units import Bool, ConfigPath, Duration, Whole, check_web, problem


class Section(BaseModel):
    """A mapping of the config file: frozen, unknown keys refused, input never repeated in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=False)


class RecipeKind(StrEnum):
    """How the application is stopped, deployed and started."""

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
    """One way of handling the application; each kind needs its own key. Several run in order, and are taken back in reverse.

    `command` starts the application in the foreground: StepFlow makes it a process of its own and stops it by `pid_file`.
    """

    kind: RecipeKind
    unit: str | None = None
    user: Bool = False  # systemctl --user
    file: ConfigPath | None = None
    service: str | None = None
    container: str | None = None
    deployment: str | None = None
    namespace: str | None = None
    context: str | None = None
    image: str | None = None
    revision: str | None = None
    directory: ConfigPath | None = None
    release: ConfigPath | None = None  # directory: what takes its place
    command: str | None = Field(default=None, repr=False)
    stop: str | None = Field(default=None, repr=False)
    build: str | None = Field(default=None, repr=False)
    undo: str | None = Field(default=None, repr=False)
    pid_file: ConfigPath | None = None
    log: ConfigPath | None = None
    folder: ConfigPath | None = (
        None  # where commands run; the config's folder if left out (git: `directory`, directory: the new one)
    )
    env: dict[str, SecretStr] = Field(default_factory=dict)
    timeout: Duration = Field(default=300.0, gt=0)

    @model_validator(mode="after")
    def _has_its_key(self) -> Self:
        needed = _RECIPE_NEEDS[self.kind]
        if getattr(self, needed) is None:
            raise problem(f"a {self.kind.value} recipe needs `{needed}`", f"add {needed}: …")
        return self


class SwitchFormat(StrEnum):
    """How a file of settings is read; by its name or ending where none is given."""

    DOTENV = "dotenv"
    YAML = "yaml"
    TOML = "toml"
    JSON = "json"
    INI = "ini"
    PYTHON = "python"
    TEXT = "text"


class Switch(Section):
    """Settings of the application that are changed at the switch; all entries are one group.

    Either `set` (dotted keys; the present value's type is kept) or `pattern` with `to`: a regular expression that must match
    exactly once, of which the group `value`, else the whole match, is replaced. Values may contain `{target_dsn}`,
    `{target_host}`, `{target_port}`, `{target_name}`, `{target_user}`, `{target_password}` and `{source_path}`.
    """

    file: ConfigPath
    format: SwitchFormat | None = None
    assignments: dict[str, SecretStr] = Field(alias="set", default_factory=dict)
    pattern: str | None = Field(default=None, repr=False)
    to: SecretStr | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.assignments) == (self.pattern is not None):
            raise problem("a switch has either `set` or `pattern`", "set: {KEY: value}, or pattern: … and to: …")
        if (self.pattern is None) != (self.to is None):
            raise problem("`pattern` and `to` belong together", "pattern: what is there, to: what takes its place")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error:
                raise problem(
                    "`pattern` is no regular expression", "Python's re syntax; (?P<value>…) is replaced"
                ) from None
        return self


class EnvFile(Section):
    """Rules for the application's file of environment variables. Names may end with `*`."""

    file: ConfigPath
    compare: ConfigPath | None = None  # the development file: differences are listed without values
    required: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    min_secret: Whole = Field(default=32, ge=1)
    demand: dict[str, SecretStr] = Field(default_factory=dict)
    rebuild: tuple[str, ...] = ()  # keys that are built in: a restart is not enough


class Health(Section):
    """One health check: exactly one of http, websocket, tcp, sql, command."""

    http: str | None = Field(default=None, repr=False)
    websocket: str | None = Field(default=None, repr=False)
    tcp: str | None = Field(default=None, repr=False)
    sql: str | None = Field(default=None, repr=False)
    command: str | None = Field(default=None, repr=False)
    status: Whole = Field(default=200, ge=100, le=599)
    body: str | None = Field(default=None, repr=False)  # a text that the answer must contain
    json_path: dict[str, str] = Field(default_factory=dict, alias="json", repr=False)  # dotted path: expected value
    max_latency: Duration | None = Field(default=None, gt=0)
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

    @field_validator("http")
    @classmethod
    def _web(cls, address: str | None) -> str | None:
        return address if address is None else check_web(address)

    @field_validator("websocket")
    @classmethod
    def _socket(cls, address: str | None) -> str | None:
        return address if address is None else check_web(address, ("ws", "wss"))


class Request(Section):
    """One HTTP request of a functional probe. `{key}` stands for the created record's key, `{token}` for a fresh text."""

    http: str = Field(repr=False)
    method: str = Field(default="GET", pattern=r"^[A-Z]{3,7}$")
    send: str | None = Field(default=None, repr=False)  # a body; JSON if it begins with { or [
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    status: Whole = Field(default=200, ge=100, le=599)
    body: str | None = Field(default=None, repr=False)
    max_latency: Duration | None = Field(default=None, gt=0)

    @field_validator("http")
    @classmethod
    def _web(cls, address: str) -> str:
        return check_web(address)


class Probe(Section):
    """Creates a record, reads it, and deletes it again. `table` and `column` tell where it stands, for digests."""

    name: str = Field(min_length=1)
    create: Request | None = None
    key: str = "id"  # dotted path in create's answer
    read: Request | None = None
    delete: Request | None = None
    table: str | None = None
    column: str | None = None
    timeout: Duration = Field(default=10.0, gt=0)

    @model_validator(mode="after")
    def _undoes_itself(self) -> Self:
        if self.create is None and self.read is None:
            raise problem("a probe creates or reads", "add create: {http: …} or read: {http: …}")
        if self.create is not None and self.delete is None:
            raise problem("a probe that creates must delete", "add delete: {http: …, method: DELETE, status: 204}")
        return self


class Availability(Section):
    """What is asked all the time while reads and writes move, to measure the longest gap."""

    http: str = Field(repr=False)
    every: Duration = Field(default=1.0, gt=0)
    timeout: Duration = Field(default=2.0, gt=0)
    status: Whole = Field(default=200, ge=100, le=599)

    @field_validator("http")
    @classmethod
    def _web(cls, address: str) -> str:
        return check_web(address)


class Pool(Section):
    """The application's connection pool, of each instance."""

    size: Whole = Field(default=5, ge=1)
    overflow: Whole = Field(default=0, ge=0)
    instances: Whole = Field(default=1, ge=1)


class Application(Section):
    """The application; what is left out becomes a checklist item."""

    switches: tuple[Switch, ...] = ()
    recipe: tuple[Recipe, ...] = ()
    health: tuple[Health, ...] = ()
    probes: tuple[Probe, ...] = ()
    availability: Availability | None = None
    env: EnvFile | None = None
    pool: Pool | None = None
    backup: tuple[ConfigPath, ...] = ()
    python: ConfigPath | None = None  # its interpreter: versions of Python, SQLite and packages are read from it
    sqlite: str | None = Field(
        default=None, pattern=r"^\d+\.\d+\.\d+$"
    )  # its SQLite library, where no interpreter tells

    @field_validator("recipe", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value or ()


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
