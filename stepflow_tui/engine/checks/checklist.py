"""Owns the default checklist of `sqlite-to-postgres`: which items there are, and which facts decide them.

Titles are in `texts.checklist`. An item without a decision is a person's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stepflow_tui.engine.model.checklist import ItemKind, ItemSpec
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.state import ItemState


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistFacts:
    """What the engine knows when it looks at the checklist. None: not known yet, the item stays open.

    `checked` tells that the preflight has run; `findings` are its findings.
    """

    checked: bool = False
    findings: tuple[Finding, ...] = ()
    backup_sha256: str | None = None
    backup_tested: bool | None = None  # opened as a restored file would be, integrity_check clean
    holders_known: bool | None = None
    state_recorded: bool | None = None  # journal mode, counts and fingerprint are in the journal
    undo_complete: bool | None = None  # every step of the playbook has an undo
    verified_clean: bool | None = None  # every table equal, nothing rejected
    verified_comprehensive: bool | None = None
    decisions_recorded: bool | None = None  # the audit chain verifies
    alerts_open: int | None = None  # critical ones
    scratch_removed: bool | None = None
    undo_done: bool | None = None  # rollback: every undo is journalled
    source_unchanged: bool | None = None  # rollback: same content hash as before
    capture_healthy: bool | None = None  # live: every change was recorded, or copied again
    files_archived: bool | None = None  # application.backup: every file is in the archive, and was read from it again
    archive_note: str = ""
    health_asked: bool = False  # application.health: the preflight asked
    service_watched: bool | None = None  # application.availability: measured from the first phase on
    watched_note: str = ""
    health_passed: bool | None = None  # application.health: asked again at the end
    health_note: str = ""
    functions_passed: bool | None = None  # application.probes: tried at the end
    functions_note: str = ""
    settings_in_force: bool | None = None  # application.env: the file that stands at the end keeps its rules
    settings_note: str = ""
    rehearsed: bool | None = None  # in place: a copy went to WAL and back, equal
    rehearsed_note: str = ""
    measured: bool | None = None  # in place: the benchmark ended
    limits_met: bool | None = None  # in place: its limits
    measured_note: str = ""
    wal_active: bool | None = None  # in place: value, connection and header agree
    code_deployed: bool | None = None  # in place: recipes carried out


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A check's word on an item, with its evidence as a note."""

    state: ItemState
    note: str = ""


Decide = Callable[[ChecklistFacts], Decision | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecklistItem:
    """One item; `when` is before, during, after, rollback_before, rollback_during or rollback_after. `decide` None: manual.

    `live` and `offline` items belong to runs of these modes only. `configured` names the key of the config without which nothing can decide the
    item: it is a person's then, or, where it is `added`, not listed at all.
    """

    id: str
    when: str
    decide: Decide | None = None
    holds: str = field(default="")  # phase it must be settled before
    live: bool = False
    offline: bool = False
    configured: str = ""
    added: bool = False

    @property
    def manual(self) -> bool:
        """Whether a person settles it where the config says nothing about it."""
        return self.decide is None or bool(self.configured)

    @property
    def spec(self) -> ItemSpec:
        """The item as the journal lists it where the config says nothing about it."""
        kind = ItemKind.MANUAL if self.manual else ItemKind.AUTO
        return ItemSpec(id=self.id, kind=kind, before=self.holds, params={"when": self.when})


def _said(ok: bool | None, good: str, bad: str) -> Decision | None:
    if ok is None:
        return None
    return Decision(state=ItemState.TICKED, note=good) if ok else Decision(state=ItemState.FAILED, note=bad)


def decided_by(name: str, good: str, bad: str) -> Decide:
    """Decided by a fact that is true or false."""

    def decide(facts: ChecklistFacts) -> Decision | None:
        return _said(getattr(facts, name), good, bad)

    return decide


def no_finding(*prefixes: str, good: str, blocking_only: bool = True) -> Decide:
    """Ticked when the preflight has run and has no grave finding whose code begins like that."""

    def decide(facts: ChecklistFacts) -> Decision | None:
        # A check that could not be done has said nothing about anything.
        if not facts.checked or any(f.code == "check_failed" for f in facts.findings):
            return None
        grave = {Severity.BLOCKING} if blocking_only else {Severity.BLOCKING, Severity.WARNING}
        bad = sorted({f.code for f in facts.findings if f.severity in grave and f.code.startswith(prefixes)})
        return _said(not bad, good, f"findings: {', '.join(bad)}")

    return decide


def _backup(facts: ChecklistFacts) -> Decision | None:
    if facts.backup_tested is None or facts.backup_sha256 is None:
        return None
    return _said(
        facts.backup_tested, f"restored and checked, sha256 {facts.backup_sha256}", "the backup did not pass its test"
    )


def _archived(facts: ChecklistFacts) -> Decision | None:
    return _said(facts.files_archived, facts.archive_note, facts.archive_note)


def noted(fact: str, note: str) -> Decide:
    """A fact whose note says it in both cases."""

    def decide(facts: ChecklistFacts) -> Decision | None:
        said: str = getattr(facts, note)
        return _said(getattr(facts, fact), said, said)

    return decide


def _rollback_ready(facts: ChecklistFacts) -> Decision | None:
    if facts.undo_complete is None or facts.backup_tested is None:
        return None
    return _said(
        facts.undo_complete and facts.backup_tested,
        "every step has an undo, the backup is restorable",
        "a step or the backup is missing",
    )


def _comprehensive(facts: ChecklistFacts) -> Decision | None:
    if facts.verified_comprehensive is None and facts.verified_clean:
        return Decision(state=ItemState.TICKED, note="every table equal at the configured level")
    return _said(facts.verified_comprehensive, "every table equal, comprehensive", "tables differ")


def _alerts(facts: ChecklistFacts) -> Decision | None:
    return (
        None if facts.alerts_open is None else _said(facts.alerts_open == 0, "none open", f"{facts.alerts_open} open")
    )


def _env_complete(facts: ChecklistFacts) -> Decision | None:
    judged = no_finding(
        "env_missing", "env_placeholder", "env_weak", "env_short", "env_not_demanded", "env_not_readable",
        good="complete, no placeholders, secrets strong", blocking_only=False,
    )  # fmt: skip
    return judged(facts) if any(f.code.startswith("env_") for f in facts.findings) else None


def _service_healthy(facts: ChecklistFacts) -> Decision | None:
    asked = no_finding("application_unhealthy_now", good="every health check passed", blocking_only=False)
    return asked(facts) if facts.health_asked else None


_PREPARED = "backfill"

ITEMS: tuple[ChecklistItem, ...] = (
    ChecklistItem(id="backup-database", when="before", decide=_backup, holds=_PREPARED),
    ChecklistItem(id="backup-config", when="before", decide=_archived, configured="application.backup"),
    ChecklistItem(id="backup-storage", when="before", decide=_archived, configured="application.backup", added=True),
    ChecklistItem(id="migration-tested", when="before"),
    ChecklistItem(id="rollback-ready", when="before", decide=_rollback_ready, holds=_PREPARED),
    ChecklistItem(id="teams-told", when="before"),
    ChecklistItem(id="tests-passed", when="before"),
    ChecklistItem(id="documents-ready", when="before"),
    ChecklistItem(
        id="system-requirements", when="before", holds=_PREPARED,
        decide=no_finding("memory_", "sqlite_too_old", "driver_", good="memory, Python and libraries suffice", blocking_only=False),
    ),
    ChecklistItem(id="dependencies", when="before"),
    ChecklistItem(id="sqlite-version", when="before"),
    ChecklistItem(id="disk-space", when="before", decide=no_finding("disk_", "target_disk", good="enough room"), holds=_PREPARED),
    ChecklistItem(id="database-healthy", when="before", holds=_PREPARED,
                  decide=decided_by("backup_tested", "integrity_check clean, foreign keys counted", "integrity_check found damage")),
    ChecklistItem(id="service-healthy", when="before", configured="application.health", holds=_PREPARED,
                  decide=_service_healthy),
    ChecklistItem(id="holders-known", when="before", holds=_PREPARED,
                  decide=decided_by("holders_known", "listed by pid and command", "this system does not tell")),
    ChecklistItem(id="state-recorded", when="before", holds=_PREPARED,
                  decide=decided_by("state_recorded", "stored in the journal", "not in the journal")),
    ChecklistItem(id="baseline-taken", when="before"),
    ChecklistItem(id="target-ready", when="before", decide=no_finding("target_", "password_refused", "database_missing", good="no blocking finding"), holds=_PREPARED),
    ChecklistItem(id="target-schema", when="before", decide=no_finding("existing_", "target_existing", good="tables and columns fit"), holds=_PREPARED),
    ChecklistItem(id="pool-fits", when="before", decide=no_finding("target_connections", "pool_", good="enough free connections", blocking_only=False),
                  holds=_PREPARED),
    ChecklistItem(id="env-complete", when="before", decide=_env_complete, configured="application.env"),
    ChecklistItem(id="monitoring-ready", when="before"),
    ChecklistItem(id="rights-limited", when="before"),
    ChecklistItem(id="sensitive-named", when="before"),
    ChecklistItem(id="other-readers", when="before"),
    ChecklistItem(id="directories-ready", when="before", holds=_PREPARED,
                  decide=no_finding("backup_dir_not", "state_dir_not", "state_dir_network", good="backup folder written to, state directory usable")),
    ChecklistItem(id="capture-healthy", when="during", live=True,
                  decide=decided_by("capture_healthy", "every change was recorded", "changes went past it, see the alerts")),
    ChecklistItem(id="application-routed", when="during", holds="switch_reads", live=True),
    ChecklistItem(id="application-switched", when="during", holds="observe", live=True, offline=True),
    ChecklistItem(id="writers-stopped", when="during", holds="capture", offline=True),
    ChecklistItem(id="service-watched", when="during", configured="application.availability", added=True,
                  decide=noted("service_watched", "watched_note")),
    ChecklistItem(id="functions-tested", when="during", configured="application.probes", added=True,
                  decide=noted("functions_passed", "functions_note")),
    ChecklistItem(id="data-verified", when="during", decide=decided_by("verified_clean", "clean pass", "differences, see the report")),
    ChecklistItem(id="alerts-clear", when="during", decide=_alerts),
    ChecklistItem(id="decisions-recorded", when="during", decide=decided_by("decisions_recorded", "audit chain verified", "audit chain broken")),
    ChecklistItem(id="data-equal", when="after", decide=_comprehensive),
    ChecklistItem(id="health-checked", when="after", configured="application.health", added=True,
                  decide=noted("health_passed", "health_note")),
    ChecklistItem(id="functions-verified", when="after", configured="application.probes",
                  decide=noted("functions_passed", "functions_note")),
    ChecklistItem(id="alerts-checked", when="after", decide=_alerts),
    ChecklistItem(id="performance-compared", when="after"),
    ChecklistItem(id="documents-updated", when="after"),
    ChecklistItem(id="temporary-removed", when="after", decide=decided_by("scratch_removed", "nothing of StepFlow is left in the target", "leftovers in the target")),
    ChecklistItem(id="production-settings", when="after", configured="application.env", added=True,
                  decide=noted("settings_in_force", "settings_note")),
    ChecklistItem(id="new-side-backed-up", when="after"),
    ChecklistItem(id="watch-continues", when="after"),
    ChecklistItem(id="old-side-archived", when="after"),
    ChecklistItem(id="users-work", when="after"),
    ChecklistItem(id="feedback-collected", when="after"),
    ChecklistItem(id="lessons-written", when="after"),
    ChecklistItem(id="result-announced", when="after"),
    ChecklistItem(id="rollback-reason", when="rollback_before"),
    ChecklistItem(id="rollback-impact", when="rollback_before"),
    ChecklistItem(id="rollback-scripts", when="rollback_before", decide=_rollback_ready),
    ChecklistItem(id="rollback-executed", when="rollback_during", decide=decided_by("undo_done", "every undo is journalled", "an undo is missing")),
    ChecklistItem(id="rollback-result", when="rollback_during", decide=decided_by("source_unchanged", "the source is as it was", "the source changed")),
    ChecklistItem(id="rollback-data", when="rollback_after", decide=decided_by("source_unchanged", "the source is as it was", "the source changed")),
    ChecklistItem(id="rollback-recorded", when="rollback_after"),
    ChecklistItem(id="rollback-documents", when="rollback_after"),
)  # fmt: skip
"""In the order of the checklist."""


def items_for(whens: Iterable[str]) -> tuple[ChecklistItem, ...]:
    """The items of these times, in order."""
    wanted = set(whens)
    return tuple(item for item in ITEMS if item.when in wanted)


def decide_all(facts: ChecklistFacts, items: Iterable[ChecklistItem] = ITEMS) -> dict[str, Decision]:
    """What the facts say about every automatic item; items without an answer yet are left out."""
    decided = {item.id: item.decide(facts) for item in items if item.decide is not None}
    return {name: decision for name, decision in decided.items() if decision is not None}
