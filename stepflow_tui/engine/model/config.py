"""The config file as frozen values. Defaults stand here; reading the file is `engine.config`.

Names that pydantic keeps for itself differ from the file's keys: `copy` is `Config.copying`, `schema` is `Target.schema_name`,
`set` is `Switch.assignments`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from stepflow_tui.engine.model.config_application import Alerts, Application, Checklist, PhaseHooks, Section
from stepflow_tui.engine.model.config_dsn import check_dsn
from stepflow_tui.engine.model.config_units import (
    Bool,
    ConfigPath,
    Duration,
    Margin,
    Moment,
    Percent,
    Size,
    Whole,
    parse_size,
    parse_whole,
    problem,
)
from stepflow_tui.engine.model.config_wal import Benchmark, Monitor, Requirements, Wal
from stepflow_tui.engine.model.state import PhaseName

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""What a run may be called."""


class MigrationKind(StrEnum):
    """The playbooks."""

    SQLITE_WAL = "sqlite-wal"
    SQLITE_TO_POSTGRES = "sqlite-to-postgres"
    FILES_TO_DATABASE = "files-to-database"
    TABLE_TO_TABLE = "table-to-table"


class Mode(StrEnum):
    """How a playbook runs; it names the phases."""

    COPY = "copy"  # one exact copy, nobody writes meanwhile
    LIVE = "live"  # capture to observe
    OFFLINE = "offline"  # maintenance window, stop to start
    IN_PLACE = "in-place"  # the database stays where it is and the application goes on (sqlite-wal)


class TablesMode(StrEnum):
    """Who makes the target's tables."""

    CREATE = "create"
    EXISTING = "existing"  # made beforehand by the application's own tool


class Access(StrEnum):
    """What a role may do with the tables."""

    RW = "rw"
    RO = "ro"


class DateUnit(StrEnum):
    """How a column stores times."""

    ISO = "iso"
    EPOCH_S = "epoch_s"
    EPOCH_MS = "epoch_ms"
    EPOCH_US = "epoch_us"
    COCOA = "cocoa"
    WEBKIT = "webkit"
    JULIAN = "julian"


class BadValue(StrEnum):
    """What happens to text that PostgreSQL can't hold (NUL bytes, invalid UTF-8)."""

    REJECT = "reject"  # the row goes to rejects/, exit 5
    BYTEA = "bytea"  # the column becomes bytea
    REPLACE = "replace"  # declared lossy, every value listed


class Level(StrEnum):
    """How deep a verification looks."""

    BASIC = "basic"
    STANDARD = "standard"
    DETAILED = "detailed"
    COMPREHENSIVE = "comprehensive"


class Source(Section):
    """The SQLite file. `allow_stall` (seconds): a backup that would stall a rollback-journal writer longer is refused.

    `busy_timeout` (seconds): how long the application itself waits for a lock; None: not known.
    """

    path: ConfigPath
    allow_stall: Duration = Field(default=30.0, ge=0)
    busy_timeout: Duration | None = Field(default=None, ge=0)


class DatabaseEnv(Section):
    """Where source and target are looked up when the config leaves them out: the environment, then this file (`.env`)."""

    file: ConfigPath | None = None
    prefix: str = Field(default="", pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$")


class Pool(Section):
    """Connections to the target: numbers, and seconds."""

    min: Whole = Field(default=1, ge=1, le=64)
    max: Whole = Field(default=4, ge=1, le=64)
    timeout: Duration = Field(default=30.0, gt=0)
    recycle: Duration = Field(default=3600.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min > self.max:
            raise problem("min is larger than max", "min at most max")
        return self


class Target(Section):
    """The PostgreSQL side. Neither `dsn` nor `embedded`: libpq's environment variables and ~/.pgpass."""

    dsn: SecretStr | None = None
    embedded: Bool = False
    schema_name: str = Field(default="public", alias="schema", min_length=1, max_length=63)
    tables: TablesMode = TablesMode.CREATE
    owner: str | None = None
    grant: dict[str, Access] = Field(default_factory=dict)
    pool: Pool = Pool()

    @field_validator("dsn")
    @classmethod
    def _usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            check_dsn(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.embedded and self.dsn is not None:
            raise problem("both `dsn` and `embedded: true`", "keep one of them")
        return self


class Tables(Section):
    """Which tables, by shell pattern, and new names by source name."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = Field(default_factory=dict)


class Types(Section):
    """Accepted type changes: by declared type, by table and column, and units of stored times."""

    by_type: dict[str, str] = Field(default_factory=dict)
    by_column: dict[str, dict[str, str]] = Field(default_factory=dict)
    dates: dict[str, dict[str, DateUnit]] = Field(default_factory=dict)


class Backup(Section):
    """The tested backup. `dir` None: the run's folder; `also`: further folders that get a copy; `deadline` in seconds."""

    dir: ConfigPath | None = None
    keep: Whole = Field(default=3, ge=1)
    also: tuple[ConfigPath, ...] = ()
    deadline: Duration = Field(default=3600.0, gt=0)


class Copying(Section):
    """The copy. `auto` lets the engine decide."""

    streams: int | Literal["auto"] = "auto"
    chunk_bytes: int | Literal["auto"] = "auto"
    max_rows_per_second: Whole | None = Field(default=None, ge=1)
    on_bad_value: BadValue = BadValue.REJECT

    @field_validator("streams", mode="before")
    @classmethod
    def _streams(cls, value: Any) -> Any:
        number = value if value == "auto" else parse_whole(value)
        if isinstance(number, int) and not 1 <= number <= 64:
            raise problem("out of range", "auto, or 1 to 64")
        return number

    @field_validator("chunk_bytes", mode="before")
    @classmethod
    def _chunk(cls, value: Any) -> Any:
        size = value if value == "auto" else parse_size(value)
        if isinstance(size, int) and not 65_536 <= size <= 1_073_741_824:
            raise problem("out of range", "auto, or 64KiB to 1GiB")
        return size


class VerifyRule(Section):
    """What of one table is not compared exactly (live): columns left out, and how far values of a column may lie apart.

    Neither is proven by a verification then, and every verdict says so.
    """

    exclude: tuple[str, ...] = ()
    tolerance: dict[str, Margin] = Field(default_factory=dict)

    @property
    def not_proven(self) -> str:
        """What it leaves unproven, for verdicts, plan and report; "" for an empty rule."""
        parts = [f"{c} (left out)" for c in self.exclude] + [f"{c} (within {m})" for c, m in self.tolerance.items()]
        return f"not proven: {', '.join(parts)}" if parts else ""


class Invariant(Section):
    """A question whose answers must be equal on both sides at the same moment (live). The order of rows doesn't count."""

    name: str = Field(pattern=NAME_PATTERN)
    sqlite: str = Field(min_length=1)
    postgres: str = Field(min_length=1)

    @field_validator("sqlite", "postgres")
    @classmethod
    def _asks(cls, value: str) -> str:
        if not re.match(r"\s*(select|with|values)\b", value, re.IGNORECASE):
            raise problem("not a question", "one statement that begins with SELECT, WITH or VALUES")
        return value


class Verify(Section):
    """The verification. `rules` (by source table) and `invariants` belong to live runs."""

    level: Level = Level.DETAILED
    rules: dict[str, VerifyRule] = Field(default_factory=dict)
    invariants: tuple[Invariant, ...] = ()

    @field_validator("invariants")
    @classmethod
    def _named_apart(cls, invariants: tuple[Invariant, ...]) -> tuple[Invariant, ...]:
        if len({i.name for i in invariants}) < len(invariants):
            raise problem("two invariants of one name", "a name of its own for each")
        return invariants


class RollbackIf(Section):
    """Hard limits that move reads back by themselves."""

    error_rate: Percent = 0.05
    p95: Duration = Field(default=0.5, gt=0)
    mismatches: Whole = Field(default=1, ge=1)


class Canary(Section):
    """Strategy canary: the small share and how long it is held. A share of 0 % leaves it to `switch.groups` alone."""

    share: Percent = 0.01
    soak: Duration = Field(default=3600.0, ge=0)


class SideBySide(Section):
    """Strategy ab: the share of the new side, and the reads that must be measured on each side before the verdict."""

    share: Percent = Field(default=0.5, gt=0, lt=1)
    samples: Whole = Field(default=10_000, ge=100, le=10_000_000)


class SwitchReads(Section):
    """The read switch.

    `steps` belong to gradual, `canary` and `ab` to these strategies; `soak` (seconds) is how long each step, and in the end
    all reads, are held. `groups`: users, keys and groups that read the new side first. `shadow_reads`: how many the engine
    makes a second. `max_lag` (seconds): further behind, the new side is not read. `cool_down` (seconds): after reads were
    moved back by themselves, the switch is not armed again before.
    """

    strategy: Literal["immediate", "gradual", "canary", "ab", "blue-green"] = "gradual"
    steps: tuple[Whole, ...] = (1, 5, 25, 50, 100)
    soak: Duration = Field(default=600.0, ge=0)
    canary: Canary = Canary()
    ab: SideBySide = SideBySide()
    groups: tuple[str, ...] = ()
    shadow_reads: Whole = Field(default=20, ge=0, le=1_000)
    max_lag: Duration = Field(default=5.0, gt=0)
    cool_down: Duration = Field(default=600.0, ge=0)
    rollback_if: RollbackIf = RollbackIf()

    @model_validator(mode="after")
    def _canary_of_somebody(self) -> Self:
        if self.strategy == "canary" and not self.canary.share and not self.groups:
            raise problem("a canary of nobody", "a share above 0%, or names in `groups`")
        return self

    @field_validator("steps")
    @classmethod
    def _rising(cls, steps: tuple[int, ...]) -> tuple[int, ...]:
        if not steps or steps[-1] != 100 or list(steps) != sorted(set(steps)) or steps[0] < 1:
            raise problem("not rising percentages up to 100", "such as [1, 5, 25, 50, 100]")
        return steps


class Capture(Section):
    """Change capture (live only): how long and how much is kept, and what happens to tables whose log may miss rows."""

    keep: Duration = Field(default=604_800.0, gt=0)
    budget: Size = Field(default=1_073_741_824, gt=0)
    uncapturable: Literal["refuse", "reconcile"] = "refuse"


class Cutover(Section):
    """The moment writes move. `window` belongs to offline runs."""

    max_freeze: Duration = Field(default=5.0, gt=0)
    retries: Whole = Field(default=5, ge=0)
    at: Moment | None = None
    window: Duration = Field(default=1800.0, gt=0)


class Observe(Section):
    """How long the new state is watched before the run ends, and what happens then.

    `window` (seconds) None: a day; where the database stays in its place, a minute while somebody uses it.
    """

    window: Duration | None = Field(default=None, ge=0)
    then: Literal["wait", "cleanup"] = "wait"


class Config(Section):
    """The whole file. Its repr shows the name only."""

    version: Whole = Field(default=1, ge=1, le=1)
    name: str = Field(pattern=NAME_PATTERN)
    kind: MigrationKind
    mode: Mode = Mode.COPY
    environment: str = Field(default="staging", pattern=NAME_PATTERN)
    database_env: DatabaseEnv | None = None
    source: Source
    target: Target = Target()
    tables: Tables = Tables()
    types: Types = Types()
    backup: Backup = Backup()
    copying: Copying = Field(default=Copying(), alias="copy")
    verify: Verify = Verify()
    switch: SwitchReads = SwitchReads()
    capture: Capture = Capture()
    cutover: Cutover = Cutover()
    observe: Observe = Observe()
    wal: Wal = Wal()
    benchmark: Benchmark = Benchmark()
    monitor: Monitor = Monitor()
    requirements: Requirements = Requirements()
    application: Application = Application()
    sensitive: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    checklist: Checklist = Checklist()
    hooks: dict[PhaseName, PhaseHooks] = Field(default_factory=dict)
    alerts: Alerts = Alerts()
    keymap: dict[str, str] = Field(default_factory=dict)

    @field_validator("environment")
    @classmethod
    def _not_nearly_production(cls, value: str) -> str:
        if value != "production" and value.lower() in ("prod", "production", "live", "prd"):
            raise problem("looks like production, but is not written so", "write environment: production")
        return value

    @field_validator("mode")
    @classmethod
    def _of_its_kind(cls, mode: Mode, info: ValidationInfo) -> Mode:
        in_place = info.data.get("kind") is MigrationKind.SQLITE_WAL
        if in_place and mode in (Mode.COPY, Mode.LIVE):
            raise problem("a mode of sqlite-to-postgres", "in-place or offline; or leave it out")
        if "kind" in info.data and not in_place and mode is Mode.IN_PLACE:
            raise problem("a mode of sqlite-wal", "copy, live or offline")
        return mode

    @model_validator(mode="after")
    def _own_phases(self) -> Self:
        """A database that stays in its place has phases of its own: in place where no mode is written, else as written."""
        if self.in_place and "mode" not in self.model_fields_set:
            object.__setattr__(self, "mode", Mode.IN_PLACE)
        return self

    @property
    def in_place(self) -> bool:
        """Whether the database stays where it is: there is no target."""
        return self.kind is MigrationKind.SQLITE_WAL

    @property
    def production(self) -> bool:
        """Whether typed confirmations need `--confirm NAME` besides `--yes`."""
        return self.environment == "production"

    def __repr__(self) -> str:
        return f"Config(name={self.name!r}, kind={self.kind.value!r}, mode={self.mode.value!r})"

    __str__ = __repr__
