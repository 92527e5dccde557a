"""The list of runs: what it lists, in which order, and what its keys open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from screens.config import ConfigScreen
from screens.picker import PickerScreen
from screens.picker_data import Listing, look
from screens.picker_open import DEMO_ROWS
from screens.picker_rows import age, lines
from screens.setup import SetupScreen
from screens.widgets.pick_list import PickList
from stepflow_tui.engine.errors import StepFailed, UsageError
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import NOW, SIZES, drawn
from tests.tui.setup_kit import App, Engine, keys, run_row, settled, type_in

RUNS = (
    run_row("archive", phase="complete", created_at="2026-11-20T11:21:07Z"),
    run_row("shop", "waiting", engine_alive=True, control={"holder": "anna at pts/3", "seconds": 40}),
    run_row("orders", "running", engine_lost=True, environment="production"),
    run_row("evil[red]\x1b[31m", "incomplete", phase=None, created_at=None),
)
GOOD = "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: a.db}\ntarget: {embedded: true}\n"
BAD = "version: 1\nkind: sqlite-to-postgres\nsource: {pat: a.db}\n"


def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yml").write_text(BAD)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "notes.txt").write_text(GOOD)
    return tmp_path


def texts(app: App) -> list[str]:
    return [line.text.plain for line in app.screen.query_one(PickList)._shown_lines]


def row_of(app: App, word: str) -> int:
    return next(n for n, text in enumerate(texts(app)) if word in text)


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_pictures(tmp_path: Path, snap: Snap, size: tuple[int, int], lang: str) -> None:
    language.use(lang)
    app = App(Engine(runs=RUNS), folder(tmp_path))
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        snap(app, f"picker-{size[0]}-{lang}")


@pytest.mark.parametrize("lang", ["en", "zh"])
async def test_the_first_start_says_what_it_is_for(tmp_path: Path, snap: Snap, lang: str) -> None:
    language.use(lang)
    app = App(Engine(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.screen.query_one("#welcome").display
        snap(app, f"picker-first-{lang}")


async def test_unfinished_runs_come_first_then_configs_then_beginnings(tmp_path: Path) -> None:
    app = App(Engine(runs=RUNS), folder(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        order = [row_of(app, w) for w in ("shop ", "orders", "archive", "bad.yml", "good.yaml", "New migration")]
        assert order == sorted(order)
        assert not any("compose" in t or "notes" in t for t in texts(app))
        assert "anna at pts/3" in texts(app)[row_of(app, "shop ")]
        assert "engine lost" in texts(app)[row_of(app, "orders")]
        assert "problem" in texts(app)[row_of(app, "bad.yml")]
        assert "\x1b" not in "".join(texts(app))
        picked = app.screen.query_one(PickList)
        assert picked.current == f"run:{RUNS[1]['id']}"


async def test_enter_opens_what_is_selected(tmp_path: Path) -> None:
    engine = Engine(runs=RUNS[1:2])
    app = App(engine, folder(tmp_path))
    engine.resolve_run = lambda _state, run: run  # type: ignore[attr-defined]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "enter")
        assert app.opened == [RUNS[1]["id"]]
        await keys(pilot, "j", "enter")
        assert isinstance(app.screen, ConfigScreen)
        assert app.screen.config.name == "bad.yml"
        await keys(pilot, "escape", "end", "up", "up", "enter")
        assert isinstance(app.screen, SetupScreen)


@pytest.mark.parametrize(("key", "pages"), [("n", 7), ("w", 8)])
async def test_keys_begin_a_set_up(tmp_path: Path, key: str, pages: int) -> None:
    app = App(Engine(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, key)
        assert isinstance(app.screen, SetupScreen)
        assert len(app.screen.pages) == pages
        await keys(pilot, "escape")
        assert isinstance(app.screen, PickerScreen)
        assert app.is_running


async def test_a_run_that_is_gone_is_said(tmp_path: Path) -> None:
    engine = Engine(runs=RUNS[1:2])
    said: list[Any] = []
    app = App(engine, tmp_path)
    app.show_error = said.append  # type: ignore[method-assign]

    def gone(_state: Path, _run: str) -> Any:
        raise UsageError("There is no such run.", code="no_such_run")

    engine.resolve_run = gone  # type: ignore[attr-defined]
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "enter")
        assert [e.code for e in said] == ["no_such_run"]
        assert app.opened == []


async def test_the_filter_narrows_and_escape_takes_it_away(tmp_path: Path) -> None:
    app = App(Engine(runs=RUNS), folder(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "slash")
        await type_in(pilot, "waiting")
        assert [t for t in texts(app) if "shop " in t]
        assert not [t for t in texts(app) if "orders" in t or "New migration" in t]
        await type_in(pilot, "-nothing")
        assert "Nothing matches" in texts(app)[0]
        await keys(pilot, "escape")
        assert [t for t in texts(app) if "orders" in t]
        assert isinstance(app.focused, PickList)
        await keys(pilot, "slash")
        await type_in(pilot, "orders")
        await keys(pilot, "enter")
        assert isinstance(app.focused, PickList)
        assert app.focused.current == f"run:{RUNS[2]['id']}"


@pytest.mark.parametrize(("there", "kind"), [((), "sqlite-to-postgres"), (("right",), "sqlite-wal")])
async def test_the_demo_makes_its_data_and_begins(tmp_path: Path, there: tuple[str, ...], kind: str) -> None:
    engine = Engine()
    app = App(engine, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "d")
        drawn(app)
        await keys(pilot, *there, "enter")
        assert engine.demos == [(kind, DEMO_ROWS)]
        assert app.begun == [Path("/demo/stepflow.yaml")]


async def test_a_demo_that_was_not_meant_makes_nothing(tmp_path: Path) -> None:
    engine = Engine()
    app = App(engine, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "d")
        drawn(app)
        await keys(pilot, "escape")
        assert (engine.demos, app.begun) == ([], [])


async def test_a_read_only_session_begins_no_demo(tmp_path: Path) -> None:
    engine = Engine()
    app = App(engine, tmp_path, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "d")
        assert (engine.demos, app.begun) == ([], [])


async def test_a_state_directory_that_can_t_be_read_is_said_and_configs_stay(tmp_path: Path) -> None:
    engine = Engine(refusal=StepFailed("No permission.", hint="Use another.", code="state"))
    app = App(engine, folder(tmp_path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "No permission. Use another." in str(app.screen.query_one("#detail").render())
        assert [t for t in texts(app) if "good.yaml" in t]


async def test_what_did_not_change_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(Engine(runs=RUNS), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        drawn: list[int] = []
        picked = app.screen.query_one(PickList)
        monkeypatch.setattr(picked, "replace_option_prompt_at_index", lambda index, _text: drawn.append(index))
        screen = app.screen
        assert isinstance(screen, PickerScreen)
        screen.show(Listing(runs=[RUNS[1], RUNS[2], RUNS[0], RUNS[3]]))
        assert drawn == []
        screen.show(Listing(runs=[RUNS[1] | {"state": "paused"}, RUNS[2], RUNS[0], RUNS[3]]))
        assert len(drawn) == 1


async def test_the_cursor_stays_on_its_run_when_others_come(tmp_path: Path) -> None:
    engine = Engine(runs=RUNS)
    app = App(engine, tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "down")
        engine.runs = [run_row("newest", "running", engine_alive=True), *RUNS]
        await keys(pilot, "r")
        assert app.screen.query_one(PickList).current == f"run:{RUNS[2]['id']}"


@pytest.mark.parametrize(
    ("created", "text"),
    [
        ("2026-11-22T12:04:00Z", "now"),
        ("2026-11-22T12:03:00Z", "1 min"),
        ("2026-11-22T11:04:00Z", "1 h"),
        ("2026-11-20T12:04:00Z", "2 d"),
        (None, "?"),
        ("garbage", "?"),
    ],
)
def test_ages(created: str | None, text: str) -> None:
    assert age(created, NOW) == text


@pytest.mark.parametrize("width", [40, 76, 116])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_lines_are_never_wider_than_the_screen(width: int, lang: str, tmp_path: Path) -> None:
    from rich.cells import cell_len

    from screens.glyphs import ASCII, UNICODE

    language.use(lang)
    engine: Any = Engine(runs=[*RUNS, run_row("数据" * 40, "running", environment="环境" * 20)])
    listing = look(engine, App(engine, folder(tmp_path)).options)
    for glyphs in (UNICODE, ASCII):
        for line in lines(listing, glyphs=glyphs, now=NOW, width=width, only=""):
            assert cell_len(line.text.plain) <= max(width, 76)
