"""The default checklist of `sqlite-wal`: the common items that mean something without a second side, and its own."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.checks.checklist import ITEMS, ChecklistItem, decided_by, no_finding, noted

_SECOND_SIDE = frozenset(
    {"target-ready", "target-schema", "pool-fits", "sensitive-named", "capture-healthy", "application-routed",
     "application-switched", "temporary-removed", "new-side-backed-up", "old-side-archived"}
)  # fmt: skip

_OWN: dict[str, ChecklistItem] = {
    item.id: item
    for item in (
        ChecklistItem(
            id="migration-tested", when="before", decide=noted("rehearsed", "rehearsed_note"), holds="cutover"
        ),
        ChecklistItem(id="baseline-taken", when="before", decide=noted("measured", "measured_note"), holds="cutover"),
        ChecklistItem(
            id="sqlite-version", when="before", holds="cutover",
            decide=no_finding("sqlite_wal_reset", "app_sqlite_", "app_wal_reset", good="no known WAL bug", blocking_only=False),
        ),
        ChecklistItem(
            id="system-requirements", when="before", holds="cutover",
            decide=no_finding("memory_", "sqlite_too_old", "app_memory", "app_disk", "app_python", "app_network", good="measured, all met", blocking_only=False),
        ),
        ChecklistItem(
            id="dependencies", when="before", configured="application.python", holds="cutover",
            decide=no_finding("app_package", "app_interpreter", good="read from the application's interpreter", blocking_only=False),
        ),
        ChecklistItem(id="performance-compared", when="after", decide=noted("limits_met", "measured_note")),
    )
}  # fmt: skip

_ADDED = (
    ChecklistItem(id="write-buffer", when="before"),
    ChecklistItem(id="attached-databases", when="before"),
    ChecklistItem(id="code-deployed", when="during", configured="application.recipe", added=True, decide=decided_by("code_deployed", "recipes carried out", "not deployed")),
    ChecklistItem(id="mode-active", when="during", decide=decided_by("wal_active", "returned value, fresh connection and header agree", "the file is not in WAL mode")),
    ChecklistItem(id="performance-confirmed", when="during", decide=noted("limits_met", "measured_note")),
    ChecklistItem(id="rollback-impact", when="rollback_before"),
    ChecklistItem(id="rollback-health", when="rollback_after"),
    ChecklistItem(id="rollback-functions", when="rollback_after"),
)  # fmt: skip


def _all() -> tuple[ChecklistItem, ...]:
    """In the order of the common list; an item of its own stands behind the last one of its time."""
    kept = [_OWN.get(item.id, item) for item in ITEMS if item.id not in _SECOND_SIDE]
    times = list(dict.fromkeys(item.when for item in kept))
    added = [item for item in _ADDED if item.id not in {k.id for k in kept}]
    rollback = {"rollback-result", "rollback-data", "rollback-executed"}
    # what a rollback does decides these itself, when it does it
    kept = [replace(item, decide=None) if item.id in rollback else item for item in kept]
    return tuple(item for when in times for item in (*kept, *added) if item.when == when)


IN_PLACE_ITEMS = _all()
"""In the order of the checklist."""
