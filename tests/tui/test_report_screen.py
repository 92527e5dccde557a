"""The report screen: the verdict first, every page readable, searched, exported without writing over anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from screens.modals.export import ExportDialog
from screens.pages.report_result import ReportView, missing, verdict
from screens.report import ReportScreen
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, drawn
from tests.tui.plans import drawn_with_keys, recording, report, report_view, shown, table

PAGES = (
    "Verdict", "Tables", "Objects", "Findings", "Differences", "Checklist", "Alerts", "Backup", "Application", "Record",
)  # fmt: skip


async def opened(pilot: Pilot[Any], view: ReportView) -> ReportScreen:
    """The report screen over this report."""
    await pilot.pause()
    screen = ReportScreen()
    await pilot.app.push_screen(screen)
    screen.show(view)
    await drawn_with_keys(pilot)
    return screen


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_every_page_looks_as_it_did(tmp_path: Path, size: tuple[int, int], snap: Snap) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=size) as pilot:
        await opened(pilot, report_view())
        for name in PAGES:
            assert f"[{name}]" in shown(app)
            snap(app, name)
            await pilot.press("right")
            await pilot.pause()
            await pilot.pause()


async def test_in_chinese(tmp_path: Path, snap: Snap) -> None:
    language.use("zh")
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, report_view())
        snap(app, "verdict")


def test_the_verdict_never_says_more_than_was_proven() -> None:
    assert verdict(report()).startswith("INCOMPLETE: 1 of 2 tables verified equal")
    assert verdict(report(result=None)) == "Not finished."
    assert [m.split()[0] for m in missing(report())] == ["1", "1", "1", "1", "1", "the"]
    whole = report(
        result="completed", tables=[table("a", 5, 5, "equal")], objects=[], discrepancies=[], rejects=[], checklist=[],
        source_changed=False,
    )  # fmt: skip
    assert verdict(whole) == "Completed: 1 of 1 tables verified equal, 5 rows in the target."
    assert list(missing(whole)) == []


async def test_a_failed_run_says_why_and_what_to_do(tmp_path: Path) -> None:
    error = {"code": "disk_full", "message": "No room is left.", "detail": "/var: 0 bytes", "hint": "Make room."}
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, report_view(result="failed", errors=[error]))
        text = shown(app)
        assert all(part in text for part in ("Failed:", "No room is left.", "/var: 0 bytes", "hint: Make room."))


async def test_tables_that_are_not_equal_come_first_and_the_filter_finds_the_rest(tmp_path: Path) -> None:
    tables = [table(f"t{n:03}", 1, 1, "equal") for n in range(300)] + [table("bad", 2, 1, "different")]
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, report_view(tables=tables))
        await pilot.press("right")
        await pilot.pause()
        assert "bad" in shown(app).splitlines()[2]
        await pilot.press("slash", *"t299", "enter")
        await pilot.pause()
        assert "t299" in shown(app)


async def test_a_search_goes_to_the_page_that_has_it(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, report_view())
        await pilot.press("slash", *"SHA-256", "enter", "n")
        await pilot.pause()
        assert "[Backup]" in shown(app)
        await pilot.press("slash", *"nowhere", "enter", "n")
        await pilot.pause()
        assert any("is nowhere here" in n.message for n in app._notifications)


async def test_paths_can_be_pasted_into_a_shell(tmp_path: Path) -> None:
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, report_view())
        screen.open_page(PAGES.index("Backup"))
        await pilot.pause()
        assert "stepflow backups verify '/var/backups/shop'\"'\"'s.db'" in shown(app)


async def test_hostile_values_are_shown_as_text(tmp_path: Path) -> None:
    bad = "[red]x[/] \x1b]52;c;eA==\x07\u202eb"
    found = {
        "table": bad,
        "key": [bad],
        "column": bad,
        "class": "changed",
        "source": bad,
        "target": bad,
        "cause": bad,
        "repair_sql": bad,
    }
    hostile = report_view(
        name=bad, discrepancies=[found], rejects=[{**found, "reason": bad, "file": bad}], application=[bad],
        notes=[{"at": bad, "by": bad, "text": bad}], tables=[table(bad, 1, 1, "different", reason=bad)],
        objects=[{"type": "view", "name": bad, "carried": False, "reason": bad, "sql": bad}],
    )  # fmt: skip
    app, _sent = recording(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, hostile)
        for _page in PAGES:
            assert not set(shown(app)) & set("\x1b\x07\u202e")
            await pilot.press("right")
            await pilot.pause()
        await pilot.press("right")
        await pilot.pause()
        assert "[red]x[/] ]52;c;eA==b" in shown(app)


async def test_the_export_asks_where_and_writes_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from types import SimpleNamespace

    app, _sent = recording(tmp_path)
    run = SimpleNamespace(id="shop-1", path=tmp_path / "runs" / "shop-1")
    api = SimpleNamespace(report=lambda _run: report(), report_text=lambda _run, kind: f"<{kind}>")
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, report_view())
        monkeypatch.setattr(app, "bridge", SimpleNamespace(run=run, api=api))
        await pilot.press("x")
        await pilot.pause()
        assert isinstance(app.screen, ExportDialog)
        drawn(app)
        app.screen.query_one(Input).value = str(tmp_path / "mine.md")
        await pilot.press("enter")
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "save"])
        await pilot.pause()
        monkeypatch.setattr(app, "bridge", None)
    assert (tmp_path / "mine.md").read_text() == "<md>"
    assert (tmp_path / "mine.html").read_text() == "<html>"
    assert json.loads((tmp_path / "mine.json").read_text()) == report()
    assert (tmp_path / "mine.md").stat().st_mode & 0o777 == 0o600
