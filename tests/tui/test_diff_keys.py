"""The differing keys of a table, from a real journal: values side by side, pages, repair SQL, hidden values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from screens.modals.confirm import ConfirmTyped
from screens.modals.diff_keys import PAGE, DiffKeys
from screens.modals.text import TextDialog
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model.discrepancy import DiffClass
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES, drawn
from tests.tui.run_rows import HOSTILE, attached, difference, make_run, reject, seen, settled, verdict


async def two_tables(journal: Journal) -> None:
    """Differences and a reject in `orders`, one difference in `items`."""
    found = [
        difference(
            "orders", 7, "12.50", "12.5", column="total", cls=DiffClass.PRECISION, repair_sql="UPDATE orders …;"
        ),
        difference("orders", 8, "whole row", None, column=None, cls=DiffClass.MISSING, cause=""),
        difference("orders", 9, "客户名单", "客户名单乙"),
    ]
    await verdict(journal, "orders", found, target_rows=98)
    await verdict(journal, "items", [difference("items", 1, "a", "b")])
    await reject(journal, "orders", 99, "the text holds a NUL byte")


async def open_keys(pilot: Pilot[Any], run: Any, table: str | None) -> DiffKeys:
    """The dialog, its first page read."""
    await settled(pilot)
    await pilot.app.push_screen(Screen())  # nothing behind it
    dialog = DiffKeys(run, table)
    await pilot.app.push_screen(dialog)
    await settled(pilot)
    return dialog


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_both_values_stand_side_by_side(tmp_path: Path, snap: Snap, size: tuple[int, int]) -> None:
    run = await make_run(tmp_path, two_tables, "orders", "items")
    async with attached(tmp_path, run).run_test(size=size) as pilot:
        dialog = await open_keys(pilot, run, "orders")
        screen = seen(pilot.app)
        assert "3 differences listed · 1 rejected row" in screen
        first = next(line for line in screen.splitlines() if "id=7" in line)
        assert first.index("12.50") < first.index("12.5 ")
        assert "(no row)" in next(line for line in screen.splitlines() if "id=8" in line)
        assert "(in a file)" in next(line for line in screen.splitlines() if "id=99" in line)
        assert "items" not in screen
        await pilot.press("j", "j", "j")
        assert dialog.selected is not None
        assert dialog.selected.cause == "the text holds a NUL byte"
        snap(pilot.app, f"keys-{size[0]}x{size[1]}")


async def test_enter_on_a_table_opens_its_keys(tmp_path: Path) -> None:
    run = await make_run(tmp_path, two_tables, "orders", "items")
    async with attached(tmp_path, run).run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("4")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, DiffKeys)
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, DiffKeys)


async def test_details_sql_all_tables_and_copy(tmp_path: Path) -> None:
    run = await make_run(tmp_path, two_tables, "orders", "items")
    async with attached(tmp_path, run).run_test(size=(80, 24)) as pilot:
        await open_keys(pilot, run, "orders")
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, TextDialog)
        assert "class: precision" in seen(pilot.app)
        await pilot.press("escape", "s")
        await settled(pilot)
        assert "UPDATE orders …;" in seen(pilot.app)
        await pilot.press("escape", "j", "s")
        await settled(pilot)
        assert not isinstance(pilot.app.screen, TextDialog)  # nothing repairs it
        await pilot.press("a")
        await settled(pilot)
        assert "4 differences listed · 1 rejected row" in seen(pilot.app)
        await pilot.press("y")
        await settled(pilot)
        copied = next((run.path / "copies").iterdir()).read_text()
        assert copied.count("table: ") == 5


async def test_values_are_text_whatever_they_hold(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await verdict(journal, "t", [difference("t", n, h, h[::-1], repair_sql=h) for n, h in enumerate(HOSTILE)])

    run = await make_run(tmp_path, write, "t")
    async with attached(tmp_path, run).run_test(size=(80, 24)) as pilot:
        await open_keys(pilot, run, "t")
        for _ in HOSTILE:
            await pilot.press("enter")
            await settled(pilot)
            whole = seen(pilot.app)
            await pilot.press("escape", "s")
            await settled(pilot)
            assert not set(whole + seen(pilot.app)) & set("\x1b\x07\x00\x9b\u202e\u2066")
            await pilot.press("escape", "j")
        assert isinstance(pilot.app.screen, DiffKeys)


async def test_pages_of_two_hundred(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await verdict(journal, "t", [difference("t", n, "a", "b") for n in range(PAGE + 30)])
        await reject(journal, "t", 9999, "rejected")

    run = await make_run(tmp_path, write, "t")
    async with attached(tmp_path, run).run_test(size=(80, 24)) as pilot:
        dialog = await open_keys(pilot, run, "t")
        assert len(dialog.listed.lines) == PAGE
        assert "1 to 200" in seen(pilot.app)
        await pilot.press("N")
        await settled(pilot)
        assert "1 to 200" in seen(pilot.app)
        await pilot.press("n")
        await settled(pilot)
        assert len(dialog.listed.lines) == 31
        assert dialog.listed.lines[0].text.startswith("id=200")
        assert "id=9999" in dialog.listed.lines[-1].text
        await pilot.press("n", "N")
        await settled(pilot)
        assert dialog.listed.lines[0].text.startswith("id=0 ")


async def test_nothing_differs(tmp_path: Path) -> None:
    async def write(journal: Journal) -> None:
        await verdict(journal, "t", [])

    run = await make_run(tmp_path, write, "t")
    async with attached(tmp_path, run).run_test(size=(80, 24)) as pilot:
        await open_keys(pilot, run, "t")
        await pilot.press("enter", "s", "v", "n", "j")
        assert "No differing or rejected row is listed." in seen(pilot.app)


async def hidden_values(journal: Journal) -> None:
    """A difference in a sensitive column."""
    found = [
        difference("users", 7, "#fp:0123456789", "#fp:aaaaaaaaaa", column="email"),
        difference("users", 8, "a", "b", column="name"),
    ]
    await verdict(journal, "users", found)


class Asked:
    """Stands in for the engine's answer; keeps what it was asked."""

    def __init__(self, answer: dict[str, Any] | Refused) -> None:
        self.answer = answer
        self.calls: list[tuple[Any, ...]] = []

    async def __call__(self, run: Any, table: str, key: Any, column: str, **more: Any) -> dict[str, Any]:
        self.calls.append((run.id, table, dict(key), column, more["confirm"]))
        if isinstance(self.answer, Refused):
            raise self.answer
        return self.answer


async def test_a_hidden_value_is_shown_after_the_name_was_typed_and_never_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await make_run(tmp_path, hidden_values, "users")
    app = attached(tmp_path, run)
    asked = Asked({"source": "anna@example.org", "target": None, "source_file": "", "problem": ""})
    monkeypatch.setattr(app.api, "reveal", asked, raising=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_keys(pilot, run, "users")
        await pilot.press("v")
        await settled(pilot)
        assert isinstance(app.screen, ConfirmTyped)
        drawn(app)
        app.screen.query_one(Input).value = "wrong"
        await pilot.press("enter")
        assert asked.calls == []
        app.screen.query_one(Input).value = "shop"
        await pilot.press("enter")
        await settled(pilot)
        assert asked.calls == [(run.id, "users", {"id": 7}, "email", "shop")]
        assert isinstance(app.screen, TextDialog)
        assert "anna@example.org" in seen(app)
        assert "(no row)" in seen(app)
        await pilot.press("y")
        await settled(pilot)
        assert not (run.path / "copies").exists()
        await pilot.press("escape")
        assert isinstance(app.screen, DiffKeys)
        assert "anna@example.org" not in seen(app)


async def test_a_refusal_to_show_a_value_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await make_run(tmp_path, hidden_values, "users")
    app = attached(tmp_path, run)
    monkeypatch.setattr(app.api, "reveal", Asked(Refused("Not now.", hint="Wait.", code="nope")), raising=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await open_keys(pilot, run, "users")
        await pilot.press("v")
        await settled(pilot)
        drawn(app)
        app.screen.query_one(Input).value = "shop"
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, DiffKeys)
        assert [n.title for n in app._notifications] == ["Not now."]


@pytest.mark.parametrize(("row", "read_only"), [("second", False), ("first", True)])
async def test_nothing_is_asked_where_nothing_is_hidden_or_in_a_read_only_session(
    tmp_path: Path, row: str, read_only: bool
) -> None:
    run = await make_run(tmp_path, hidden_values, "users")
    async with attached(tmp_path, run, read_only=read_only).run_test(size=(80, 24)) as pilot:
        await open_keys(pilot, run, "users")
        await pilot.press(*(["j"] if row == "second" else []), "v")
        await settled(pilot)
        assert isinstance(pilot.app.screen, DiffKeys)
        assert len(pilot.app._notifications) == 1
