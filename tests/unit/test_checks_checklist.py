"""Checklist items are decided by facts, and by nothing else."""

from __future__ import annotations

from stepflow_tui.engine.checks.checklist import ITEMS, ChecklistFacts, decide_all, items_for
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.model.finding import blocking, info, warning
from stepflow_tui.engine.model.state import ItemState


def test_nothing_is_decided_before_anything_is_known() -> None:
    assert decide_all(ChecklistFacts()) == {}


def test_ids_are_unique_and_kinds_follow_from_the_decision() -> None:
    assert len({i.id for i in ITEMS}) == len(ITEMS)
    kinds = {i.id: i.spec.kind for i in ITEMS}
    assert (kinds["disk-space"], kinds["teams-told"]) == (ItemKind.AUTO, ItemKind.MANUAL)
    assert [i.id for i in items_for(["rollback_before"])] == ["rollback-reason", "rollback-impact", "rollback-scripts"]


def test_a_clean_run_ticks_every_automatic_item() -> None:
    facts = ChecklistFacts(
        checked=True, backup_sha256="ab", backup_tested=True, holders_known=True, state_recorded=True, undo_complete=True,
        verified_clean=True, verified_comprehensive=True, decisions_recorded=True, alerts_open=0, scratch_removed=True,
        undo_done=True, source_unchanged=True, capture_healthy=True, files_archived=True, archive_note="all",
        health_asked=True, service_watched=True, health_passed=True, functions_passed=True, settings_in_force=True,
        findings=(info("env_checked"),),
    )  # fmt: skip
    decided = decide_all(facts)
    assert set(decided) == {i.id for i in ITEMS if i.decide is not None}
    assert {d.state for d in decided.values()} == {ItemState.TICKED}
    assert decided["backup-database"].note == "restored and checked, sha256 ab"


def test_findings_fail_the_items_they_are_about() -> None:
    findings = (
        blocking("disk_space"),
        warning("memory_low"),
        warning("target_unencrypted"),
        blocking("backup_dir_not_writable"),
    )
    decided = decide_all(ChecklistFacts(checked=True, findings=findings))
    failed = {name for name, d in decided.items() if d.state is ItemState.FAILED}
    assert failed == {"disk-space", "system-requirements", "directories-ready"}
    assert decided["disk-space"].note == "findings: disk_space"
    assert decided["target-ready"].state is ItemState.TICKED


def test_a_backup_that_failed_its_test_is_never_ticked() -> None:
    decided = decide_all(ChecklistFacts(backup_sha256="ab", backup_tested=False, undo_complete=True))
    assert {decided[n].state for n in ("backup-database", "database-healthy", "rollback-ready")} == {ItemState.FAILED}


def test_a_check_that_could_not_be_done_ticks_nothing() -> None:
    decided = decide_all(ChecklistFacts(checked=True, findings=(blocking("check_failed", "system_disk"),)))
    assert decided == {}


def test_a_refused_login_is_no_ready_target() -> None:
    decided = decide_all(ChecklistFacts(checked=True, findings=(blocking("password_refused"),)))
    assert decided["target-ready"].state is ItemState.FAILED
