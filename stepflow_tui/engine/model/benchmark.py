"""What a benchmark found: figures per load and side, ratios with their interval, verdicts on the configured limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stepflow_tui.engine.model.benchmark_stats import Ratio
from stepflow_tui.engine.model.codec import to_plain


class Compared(StrEnum):
    """What stands against each other."""

    MODES = "modes"  # rollback journal and WAL
    SIDES = "sides"  # SQLite and PostgreSQL


class VerdictState(StrEnum):
    """How a figure stands to its limit."""

    MET = "met"
    MISSED = "missed"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One limit. `unit`: per_second, clients, seconds, share, ratio. `reason`: a code, why it was not measured."""

    name: str
    state: VerdictState
    figure: float | None
    limit: float
    unit: str
    side: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One load on one side, all rounds together. Times in seconds; `rounds` are operations per second, one per round.

    `locked`: how often the answer was `database is locked`; `errors`: all operations that failed, those among them.
    """

    operations: int
    per_second: float
    p50: float | None
    p95: float | None
    p99: float | None
    locked: int
    errors: int
    cpu_seconds: float
    rounds: tuple[float, ...]
    first_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """One load on every side. `of`: the load whose measurement it is a part of. `ratios`: by side, against the first side."""

    name: str
    writers: int
    readers: int
    figures: Mapping[str, Figures] = field(default_factory=dict)
    ratios: Mapping[str, Ratio | None] = field(default_factory=dict)
    of: str = ""
    reason: str = ""  # a code, why it was not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class TablesUsed:
    """Which tables of the database the loads used; `own_*`: none of it fitted, the benchmark made its own in the copy."""

    writes: str
    rows: int
    own_writes: bool
    joined: tuple[str, str]
    own_joined: bool
    text: str = ""  # table.column of the full-text search, "" where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkResult:
    """Everything a benchmark found.

    `sides`: the old one first. `better`: whether the second side's mixed (modes) or concurrent (sides) load is faster, None
    where the rounds don't tell. `settings`: by side, what its connections set. `notes`: codes worth a sentence.
    """

    compared: Compared
    sides: tuple[str, ...]
    better: bool | None
    loads: tuple[LoadResult, ...]
    verdicts: tuple[Verdict, ...]
    tables: TablesUsed
    machine: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, str]]
    rounds: int
    seconds: float
    took: float
    rows_before: int
    rows_written: Mapping[str, int]
    notes: tuple[str, ...] = ()

    def load(self, name: str) -> LoadResult:
        """The load of that name. Raises KeyError."""
        for load in self.loads:
            if load.name == name:
                return load
        raise KeyError(name)

    def to_plain(self) -> dict[str, Any]:
        """The result as a JSON-ready object."""
        plain: dict[str, Any] = to_plain(self)
        return plain
