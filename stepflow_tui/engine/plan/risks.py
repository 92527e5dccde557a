"""The risk register and the acceptance criteria: how each stands, from the checklist and the findings alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.state import ItemState


class Weight(StrEnum):
    """How grave, or how likely."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class RiskState(StrEnum):
    """Whether what is done about a risk is proved."""

    PROVED = "proved"  # green: every check that proves it said yes
    OPEN = "open"  # yellow: not known yet, accepted unproved, or not checked in this run
    FAILED = "failed"  # red: a check said no, or a blocking finding stands against it


NOT_LISTED = "not listed"
"""State of a proof that the run's checklist does not have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSpec:
    """One entry of the register. `proofs` are checklist items; findings whose code begins with one of `codes` are about it."""

    id: str
    proofs: tuple[str, ...]
    impact: Weight | None = None
    likelihood: Weight | None = None
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A checklist item that proves something, and its state (`NOT_LISTED` where the run has no such item)."""

    item: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """An entry of the register as it stands. `against` are the findings about it that nobody may ignore."""

    id: str
    impact: Weight | None
    likelihood: Weight | None
    state: RiskState
    proofs: tuple[Proof, ...]
    against: tuple[str, ...] = ()


RISKS: tuple[RiskSpec, ...] = (
    RiskSpec(
        id="data-loss", impact=Weight.HIGH, proofs=("backup-database", "data-equal"),
        codes=("source_corrupt", "source_truncated", "source_unreadable", "source_hot_journal", "source_changed", "backup_",
               "disk_space", "sqlite_wal_reset"),
    ),
    RiskSpec(
        id="incomplete-migration", impact=Weight.HIGH, likelihood=Weight.MEDIUM, proofs=("data-verified",),
        codes=("tables_left_out", "source_table_", "type_rows_do_not_fit", "target_table_missing", "existing_"),
    ),
    RiskSpec(
        id="outage", impact=Weight.MEDIUM, proofs=("service-watched", "rollback-ready"),
        codes=("source_held", "source_in_use", "source_locked", "backup_would_stall", "target_unreachable", "target_standby", "logout_kills"),
    ),
    RiskSpec(
        id="wrong-configuration", impact=Weight.MEDIUM, proofs=("env-complete",),
        codes=("config_", "type_unknown", "type_needs_unit", "password_refused", "database_missing", "target_role",
               "target_owner_role", "target_rights"),
    ),
    RiskSpec(
        id="too-slow", impact=Weight.HIGH, likelihood=Weight.LOW, proofs=("performance-compared", "pool-fits"),
        codes=("memory_low", "target_connections"),
    ),
    RiskSpec(
        id="incompatibility", impact=Weight.HIGH, likelihood=Weight.MEDIUM, proofs=("d-file-mode",),
        codes=("sqlite_too_old", "source_too_new", "driver_missing", "library_versions", "target_version", "target_encoding"),
    ),
    RiskSpec(id="users-struggle", impact=Weight.MEDIUM, likelihood=Weight.HIGH, proofs=("users-work",)),
    RiskSpec(
        id="crash", impact=Weight.HIGH, likelihood=Weight.LOW, proofs=("new-side-backed-up",),
        codes=("target_disk", "state_dir_"),
    ),
)  # fmt: skip
"""In the order of the register."""

CRITERIA: tuple[RiskSpec, ...] = (
    RiskSpec(id="deployed", proofs=("code-deployed",)),
    RiskSpec(id="storage-works", proofs=("functions-verified",)),
    RiskSpec(id="data-moved", proofs=("data-equal",)),
    RiskSpec(id="performance-met", proofs=("performance-compared",)),
    RiskSpec(id="users-can-work", proofs=("users-work",)),
    RiskSpec(id="monitoring-works", proofs=("monitoring-ready", "alerts-checked")),
    RiskSpec(id="documented", proofs=("documents-ready", "documents-updated")),
)
"""What makes a migration accepted: no risks, but proved alike."""


IN_PLACE_ITEM = "mode-active"
"""An item that only runs have whose database stays where it is: theirs are other risks."""

_MOVED = {spec.id: spec for spec in (*RISKS, *CRITERIA)}
IN_PLACE_RISKS: tuple[RiskSpec, ...] = (
    _MOVED["data-loss"],
    _MOVED["outage"],
    _MOVED["wrong-configuration"],
    RiskSpec(
        id="wal-incompatible", impact=Weight.HIGH, likelihood=Weight.MEDIUM, proofs=("sqlite-version", "holders-known"),
        codes=("sqlite_too_old", "source_too_new", "wal_", "app_", "library_versions"),
    ),
    RiskSpec(id="wal-copied", impact=Weight.HIGH, likelihood=Weight.MEDIUM, proofs=("other-readers",)),
    RiskSpec(id="wal-grows", impact=Weight.MEDIUM, likelihood=Weight.MEDIUM, proofs=("watch-continues",)),
    RiskSpec(id="wal-no-gain", impact=Weight.LOW, likelihood=Weight.MEDIUM, proofs=("performance-compared",)),
)  # fmt: skip
IN_PLACE_CRITERIA: tuple[RiskSpec, ...] = (
    RiskSpec(id="wal-active", proofs=(IN_PLACE_ITEM,)),
    RiskSpec(id="wal-data", proofs=("data-equal",)),
    RiskSpec(id="wal-performance", proofs=("performance-compared",)),
    *(_MOVED[name] for name in ("deployed", "storage-works", "users-can-work", "monitoring-works", "documented")),
)


def risks(items: Sequence[Mapping[str, Any]], findings: Iterable[Finding]) -> tuple[Risk, ...]:
    """The register as it stands.

    Args:
        items: the checklist; of each row `id` and `state` count.
        findings: all that was found; only blocking ones turn a risk red.
    """
    return _judged(IN_PLACE_RISKS if _stays(items) else RISKS, items, findings)


def acceptance(items: Sequence[Mapping[str, Any]]) -> tuple[Risk, ...]:
    """The acceptance criteria as they stand."""
    return _judged(IN_PLACE_CRITERIA if _stays(items) else CRITERIA, items, ())


def _stays(items: Sequence[Mapping[str, Any]]) -> bool:
    return any(item["id"] == IN_PLACE_ITEM for item in items)


def _judged(
    register: Iterable[RiskSpec], items: Sequence[Mapping[str, Any]], findings: Iterable[Finding]
) -> tuple[Risk, ...]:
    states = {str(i["id"]): str(i["state"]) for i in items}
    grave = [f.code for f in findings if f.severity is Severity.BLOCKING]
    return tuple(_judge(spec, states, grave) for spec in register)


def _judge(spec: RiskSpec, states: Mapping[str, str], grave: Sequence[str]) -> Risk:
    proofs = tuple(Proof(item=name, state=states.get(name, NOT_LISTED)) for name in spec.proofs)
    against = tuple(dict.fromkeys(_about(spec, grave)))
    return Risk(
        id=spec.id,
        impact=spec.impact,
        likelihood=spec.likelihood,
        state=_state(proofs, against),
        proofs=proofs,
        against=against,
    )


def _about(spec: RiskSpec, codes: Iterable[str]) -> Iterator[str]:
    return (code for code in codes if spec.codes and code.startswith(spec.codes))


def _state(proofs: Sequence[Proof], against: Sequence[str]) -> RiskState:
    states = {p.state for p in proofs}
    if against or ItemState.FAILED.value in states:
        return RiskState.FAILED
    # accepted by --yes is nobody's word that it was done
    return RiskState.PROVED if states == {ItemState.TICKED.value} else RiskState.OPEN
