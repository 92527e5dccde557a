"""Values of a live migration: what is captured, where the tail stands, who owns writes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

OURS = "_sf_"
"""Prefix of everything StepFlow makes in a SQLite source."""

LOG, CTL, SWITCH, CANARY = "_sf_log", "_sf_ctl", "_sf_switch", "_sf_canary"
"""Tables in the source: the change log, the control row, the lease copy of the read switch, and the row that proves the
way back by going it."""

WRITER = "stepflow"
"""What `_sf_ctl.writer` holds inside a transaction of ours, which the write fence lets through."""

ROWID_COLUMN = "_sf_rowid"
"""Target column that carries the rowid of a table without a key of its own while a run is live."""


class Owner(StrEnum):
    """The side that owns writes."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedTable:
    """One table's triggers. `key`: raw source names of the key columns (the rowid's name where it has none of its own).

    `reconcile` says why the log may miss keys of it: it is compared and repaired as a whole under the fence.
    """

    source: str
    key: tuple[str, ...]
    triggers: Mapping[str, str] = field(default_factory=dict)  # name → CREATE TRIGGER
    reconcile: str | None = None
    by_rowid: bool = False  # the key is a rowid that no column holds: VACUUM may number such rows anew
    shape: str = ""  # digest of the columns and their order, types and keys
    text: str = ""  # digest of the CREATE TABLE text: rebuilding a table nearly always changes it


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturePlan:
    """Everything that capture makes in the source. `setup`: CREATE TABLE statements and first rows, before the triggers."""

    tables: tuple[CapturedTable, ...]
    setup: tuple[str, ...]
    width: int  # key columns of the log: k1 … k<width>

    def table(self, source: str) -> CapturedTable:
        """The captured table of that name. Raises KeyError."""
        for table in self.tables:
            if table.source == source:
                return table
        raise KeyError(source)

    @property
    def triggers(self) -> dict[str, str]:
        """All triggers, by name."""
        return {name: sql for table in self.tables for name, sql in table.triggers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """What every tail step compares: the very file, its schema version, and our triggers as they were read back."""

    device: int
    inode: int
    schema_version: int
    triggers_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """One step of the tail: the target equals the source's snapshot at `applied` when `whole` is true.

    `changes` are log entries, `rows` distinct keys; `log_max` the newest entry the step saw.
    """

    applied: int
    log_max: int
    changes: int
    rows: int
    whole: bool
    poisoned: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far the target is behind: log entries not applied, and for how many seconds the oldest of them has been known."""

    changes: int
    seconds: float
