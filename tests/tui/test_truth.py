"""What the wizard must never claim: that nothing is wrong because a filter hid it, because nothing was looked at, or by habit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from screens.glyphs import UNICODE
from screens.pages.findings import FindingsPage
from screens.pages.objects import object_lines
from screens.pages.report_rest import ReportFindingsPage, ReportObjectsPage
from screens.pages.report_result import DifferencesPage
from screens.panels.now import STILL_SECONDS
from screens.picker_rows import steered
from screens.run_endings import said
from stepflow_tui.crashes import unforeseen
from stepflow_tui.render.application import now_line
from stepflow_tui.render.live import known_lag
from tests.tui.kit import snapshot, wizard
from tests.tui.plans import report_view, table
from tests.tui.run_rows import attached, make_run, note, seen, settled
from tests.tui.run_states import aborted, failed, on_screen, waiting

NOTHING_DONE = {"rollback": {"possible": False, "loses": []}}


def text(lines: Any) -> str:
    """Lines as they are read."""
    return "\n".join(line.text.plain for line in lines)


def test_a_filter_that_hides_all_differences_does_not_say_that_there_are_none() -> None:
    shown = text(DifferencesPage().lines(report_view(), "no such thing", UNICODE))
    assert shown == "Nothing fits."


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((), "Nothing was compared yet."),
        (("not_verified", "not_verified"), "Nothing was compared yet."),
        (("equal", "equal"), "✓ Nothing differs and nothing was rejected."),
        (("equal", "not_verified"), "! No single row is listed; the page Tables tells what is not equal."),
        (("equal", "different"), "! No single row is listed; the page Tables tells what is not equal."),
    ],
)
def test_no_listed_difference_means_equal_only_where_all_was_compared(verdicts: tuple[str, ...], expected: str) -> None:
    tables = [table(f"t{n}", 5, 5, verdict) for n, verdict in enumerate(verdicts)]
    view = report_view(tables=tables, discrepancies=[], rejects=[])
    assert text(DifferencesPage().lines(view, "", UNICODE)) == expected


def test_a_filter_that_hides_what_is_lost_does_not_say_that_everything_is_carried() -> None:
    shown = text(ReportObjectsPage().lines(report_view(), "no such thing", UNICODE))
    assert "Everything is carried" not in shown
    assert "Nothing fits." in shown
    carried = [o for o in report_view().report["objects"] if o["carried"]]
    assert "✓ Everything is carried." in text(object_lines([], carried, UNICODE))


def test_without_a_plan_nothing_is_known_about_objects() -> None:
    view = report_view(plan_hash=None, objects=[])
    assert text(ReportObjectsPage().lines(view, "", UNICODE)) == "Nothing is known yet: there is no plan."


@pytest.mark.parametrize("page", [FindingsPage(), ReportFindingsPage()])
def test_a_filter_that_hides_all_findings_does_not_say_that_nothing_was_found(page: Any) -> None:
    shown = text(page.lines(report_view(), "no such thing", UNICODE))
    assert shown == "Nothing fits."


def offline(state: str, window: dict[str, Any], **more: Any) -> Any:
    """A run with a maintenance window."""
    now = snapshot()
    ends = round(now.now.timestamp() * 1000) + 65_000
    cutover = {"name": "cutover", "state": "pending", "steps": []}
    told = {"window": {"seconds": 300, "ends_ms": ends, **window}, "phases": [*now.status["phases"], cutover]}
    return snapshot(state=state, **told, **more)


def test_a_window_that_stands_is_in_sight_whatever_the_run_waits_for() -> None:
    gate = {"phase": "cutover", "state": "open", "questions": [{"kind": "plan", "id": "1", "params": {}}]}
    for state in ("waiting", "paused"):
        told = said(offline(state, {"state": "open"}, gate=gate), [])
        assert told is not None
        assert "maintenance window: the application is stopped, 1 min 5 s left of 5 min 0 s" in told.lines


def test_a_window_that_failed_says_that_it_begins_anew() -> None:
    """It did not stop where the engine stands now: it went back to there."""
    error = {"event": "error", "message": "It was over.", "detail": "", "hint": ""}
    told = said(offline("failed", {"state": "returned", "over": True}, application={"state": "old"}), [error])
    assert told is not None
    assert told.head.startswith("Failed; the run is back before ")
    assert told.lines[0] == "application: old: as it was before the switch"
    assert told.lines[-1].startswith("Going on stops the application again")
    assert said(failed(), [error]).head.startswith("Failed at ")  # type: ignore[union-attr]


def test_without_an_engine_nothing_is_told_as_if_it_were_now() -> None:
    gauges = {"lag": {"changes": 1, "seconds": 0.2}, "availability": {"now": {"ok": False}, "phases": {}}}
    alive, gone = ({**gauges, "engine": {"alive": works}} for works in (True, False))
    assert (known_lag(alive), now_line(alive)) == (gauges["lag"], "DOES NOT ANSWER")
    assert (known_lag(gone), now_line(gone)) == (None, "")


def test_a_run_that_has_done_nothing_offers_no_rollback() -> None:
    ended, stopped = said(aborted(**NOTHING_DONE), []), said(failed(**NOTHING_DONE), [])
    assert ended is not None
    assert stopped is not None
    assert "R" not in ended.act.split()
    assert ended.lines[0] == "Nothing was changed yet, neither in the source nor in the target."
    assert "R" not in stopped.act.split()
    undoable = said(failed(), [])
    assert undoable is not None
    assert "R rolls back" in undoable.act


@pytest.mark.parametrize("key", ["c", "p", "R", "X", "C", "a"])
async def test_of_a_run_that_can_not_be_read_nothing_is_offered(tmp_path: Path, key: str) -> None:
    run = await make_run(tmp_path, lambda journal: note(journal, "one"))
    (run.path / "journal.db").write_bytes(b"torn" * 2000)
    app = attached(tmp_path, run)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "NO NEWS" in seen(app)
        await pilot.press(key)
        await settled(pilot)
        assert not app.screen.is_modal
        assert any("is not known" in n.message for n in app._notifications)


def test_a_gate_without_an_engine_says_that_the_answer_starts_one() -> None:
    nobody = {"engine": {"pid": None, "alive": False, "heartbeat_seconds": None}}
    idle, busy = said(waiting(**nobody), []), said(waiting(), [])
    assert idle is not None
    assert busy is not None
    assert idle.lines[1] == "No engine works on it now; the answer starts one."
    assert set(idle.lines) - set(busy.lines) == {idle.lines[1]}


@pytest.mark.parametrize("still", [4, 12])
async def test_a_speed_that_is_no_longer_true_is_not_shown(tmp_path: Path, still: int) -> None:
    shown = snapshot()
    async with on_screen(wizard(tmp_path), shown, (80, 24)) as screen:
        before = seen(screen.app)
        await screen.show(replace(shown, now=shown.now + timedelta(seconds=still)))
        after = seen(screen.app)
    assert "rows/s" in before
    assert ("rows/s" in after) is (still < STILL_SECONDS)
    assert ("nothing more for 12" in after) is (still > STILL_SECONDS)
    assert (" left" in after) is (still < STILL_SECONDS)


def test_a_run_that_can_not_be_read_is_not_called_resumable() -> None:
    assert steered({"state": None}) == ""
    assert steered({"state": "failed"}) == "resumable"


def test_a_kept_traceback_holds_no_password(tmp_path: Path) -> None:
    unforeseen(ValueError("invalid dsn postgresql://ann:S3cret@db/shop"), tmp_path)
    [kept] = tmp_path.glob("crash-*.log")
    assert "postgresql://ann:***@db/shop" in kept.read_text()
    assert "S3cret" not in kept.read_text()
