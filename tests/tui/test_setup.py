"""The set-up by keyboard: every page, what each refuses, and the config that comes out."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Button, Input

from screens.modals.text import TextDialog
from screens.picker import PickerScreen
from screens.setup import SetupScreen
from screens.setup.page import Field
from screens.setup.paths import PathInput, completions
from screens.setup.review import ReviewPage
from screens.setup.screen import PAGES
from screens.setup.state import SetupState
from screens.widgets.cycle import Cycle
from screens.widgets.pick_list import PickList
from screens.widgets.said import Said
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import Refused, TargetConnectionError
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES
from tests.tui.setup_kit import FACTS, FULL, App, Engine, calm, keys, settled, type_in


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a database, under a short path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("screens.setup.source.PAUSE_SECONDS", 0.0)
    for name in ("shop.db", "shop-old.sqlite", "notes.txt", "shop.db-wal", ".hidden.db", "bad\x1b[31m.db"):
        (tmp_path / name).touch()
    (tmp_path / "data").mkdir()
    return Path()


def setup(app: App) -> SetupScreen:
    assert isinstance(app.screen, SetupScreen)
    return app.screen


def page(app: App) -> str:
    return type(setup(app).page).__name__


def said(app: App) -> str:
    line = app.screen.query_one("#problem")
    return str(line.render()) if line.display else ""


async def at(pilot: Any, app: App, wanted: str) -> None:
    """Go on from page to page with safe answers until `wanted` is shown."""
    await settled(pilot)
    await keys(pilot, "n")
    while page(app) != wanted:
        if page(app) == "SourcePage":
            await type_in(pilot, "shop.db")
        await keys(pilot, "f8")


# the whole way


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_from_nothing_to_a_started_run_by_keyboard(
    here: Path, snap: Snap, size: tuple[int, int], lang: str
) -> None:
    language.use(lang)
    engine = Engine()
    app = App(engine, here)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await keys(pilot, "w")
        await type_in(pilot, "shop.db")
        await keys(pilot, "enter")
        await type_in(pilot, "9")
        calm(app)
        snap(app, f"setup-advise-{size[0]}-{lang}")
        for name in ("kind", "source", "target", "options", "application", "owners"):
            await keys(pilot, "f8")
            calm(app)
            snap(app, f"setup-{name}-{size[0]}-{lang}")
        await keys(pilot, "tab", "tab")
        await type_in(pilot, "Anna")
        await keys(pilot, "f8")
        calm(app)
        snap(app, f"setup-review-{size[0]}-{lang}")
        await keys(pilot, "f8")
        assert isinstance(app.screen, PickerScreen)
        assert app.begun == [Path("stepflow.yaml")]
    config = load_config(here / "stepflow.yaml", {}).config
    assert (config.name, config.source.path) == ("shop", Path.cwd() / "shop.db")
    assert config.target.embedded
    assert [i.owner for i in config.checklist.before] == ["Anna"]


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_conversion_in_place_asks_for_no_target(
    here: Path, snap: Snap, size: tuple[int, int], lang: str
) -> None:
    language.use(lang)
    app = App(Engine(), here)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await keys(pilot, "n", "home")
        assert app.screen.query_one(PickList).current == "sqlite-wal"
        await keys(pilot, "f8")
        await type_in(pilot, "shop.db")
        calm(app)
        snap(app, f"setup-wal-source-{size[0]}-{lang}")
        await keys(pilot, "f8")
        assert page(app) == "WalOptionsPage"
        calm(app)
        snap(app, f"setup-wal-options-{size[0]}-{lang}")
        await keys(pilot, "f8", "f8", "f8")
        assert page(app) == "ReviewPage"
        calm(app)
        snap(app, f"setup-wal-review-{size[0]}-{lang}")
        await keys(pilot, "f8")
        assert app.begun == [Path("stepflow.yaml")]
    config = load_config(here / "stepflow.yaml", {}).config
    assert (config.kind, config.mode, config.source.path) == ("sqlite-wal", "in-place", Path.cwd() / "shop.db")


async def test_options_of_a_conversion_are_written(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await keys(pilot, "n", "home", "f8")
        await type_in(pilot, "shop.db")
        await keys(pilot, "f8")
        assert not app.screen.query_one("#field-window").display
        app.screen.query_one("#mode", Cycle).focus()
        await keys(pilot, "right")
        assert app.screen.query_one("#field-window").display
        assert "stopped" in str(app.screen.query_one("#about-mode").render())
        sizes = app.screen.query_one("#page-size", Cycle)
        assert "as it is (4096)" in str(sizes.render())
        sizes.focus()
        await keys(pilot, "left")
        for name, typed in (("wait", "5m"), ("observe", "2h"), ("backup", "bk"), ("window", "10m")):
            app.screen.query_one(f"#{name}", Input).value = typed
        await keys(pilot, "f8", "f8", "f8", "f8")
    config = load_config(here / "stepflow.yaml", {}).config
    assert (config.mode, config.wal.page_size, config.wal.max_wait) == ("offline", 65536, 300.0)
    assert (config.observe.window, config.cutover.window, config.backup.dir) == (7200.0, 600.0, Path.cwd() / "bk")


@pytest.mark.parametrize(("name", "typed"), [("wait", "soon"), ("observe", "ages"), ("name", "a b")])
async def test_an_option_of_a_conversion_that_can_t_be_stops_on_its_page(here: Path, name: str, typed: str) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await keys(pilot, "n", "home", "f8")
        await type_in(pilot, "shop.db")
        await keys(pilot, "f8")
        app.screen.query_one(f"#{name}", Input).value = typed
        await keys(pilot, "f8")
        assert page(app) == "WalOptionsPage"
        assert typed in said(app)


async def test_another_kind_brings_its_own_pages_and_keeps_the_answers(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "OptionsPage")
        await keys(pilot, "escape", "escape", "escape", "home", "f8", "f8")
        assert page(app) == "WalOptionsPage"
        await keys(pilot, "escape", "escape", "down", "f8", "f8")
        assert page(app) == "TargetPage"
        assert setup(app).state is not None
        assert setup(app).state.source == "shop.db"


@pytest.mark.parametrize(
    ("facts", "words"),
    [({"journal_mode": "wal"}, "nothing is converted"), ({"network": True, "filesystem": "nfs"}, "can't work"), ({}, "becomes wal")],
)  # fmt: skip
async def test_the_source_page_says_what_a_conversion_would_do(here: Path, facts: dict[str, Any], words: str) -> None:
    app = App(Engine(facts=FACTS | facts), here)
    async with app.run_test(size=(120, 40)) as pilot:
        await settled(pilot)
        await keys(pilot, "n", "home", "f8")
        await type_in(pilot, "shop.db")
        await settled(pilot)
        assert words in str(app.screen.query_one("#summary").render())


async def test_enter_alone_leads_through_lists_and_paths(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "down", "up", "enter", "enter")
        assert page(app) == "SourcePage"
        await keys(pilot, "down", "enter", "enter")
        assert page(app) == "TargetPage"
        assert setup(app).state is not None
        assert setup(app).state.source == "shop-old.sqlite"


async def test_back_keeps_the_answers_and_ends_at_the_list(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "OptionsPage")
        app.screen.query_one("#schema", Input).value = "app"
        await keys(pilot, "escape", "escape")
        assert page(app) == "SourcePage"
        assert app.screen.query_one(PathInput).value == "shop.db"
        await keys(pilot, "f8", "f8")
        assert app.screen.query_one("#schema", Input).value == "app"
        await keys(pilot, "f7", "f7", "f7", "escape")
        assert isinstance(app.screen, PickerScreen)


async def test_the_mouse_works_too(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "n")
        await pilot.click("#next")
        await settled(pilot)
        assert page(app) == "SourcePage"
        await pilot.click("#back")
        await settled(pilot)
        assert page(app) == "KindPage"


# page by page


async def test_kinds_of_later_versions_are_shown_and_can_t_be_chosen(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "n")
        listed = app.screen.query_one(PickList)
        assert listed.option_count == 4
        assert listed.current == "sqlite-to-postgres"
        await keys(pilot, "down", "down", "end")
        assert listed.current in ("sqlite-wal", "sqlite-to-postgres")
        for index, later in enumerate((False, False, True, True)):
            assert ("later version" in listed.get_option_at_index(index).prompt.plain) is later  # type: ignore[union-attr]


async def test_advice_follows_the_answers_and_only_what_is_built_is_chosen(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await keys(pilot, "w")
        advice = app.screen.query_one("#advice")
        assert "Stay as you are." in str(advice.render())
        await keys(pilot, "tab")
        app.screen.query_one("#locked", Cycle).focus()
        await keys(pilot, "right")
        assert "sqlite-wal" in str(advice.render())
        await keys(pilot, "f8")
        assert page(app) == "KindPage"
        assert setup(app).page.gathered().kind == "sqlite-wal"
        assert "sqlite-wal" in str(app.screen.query_one("#advised").render())
        await keys(pilot, "escape")
        assert app.screen.query_one("#locked", Cycle).value == "yes"


async def test_tab_completes_as_in_a_shell(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "SourcePage")
        line = app.screen.query_one(PathInput)
        await type_in(pilot, "s")
        await keys(pilot, "tab")
        assert line.value == "shop"
        await keys(pilot, "tab")
        assert app.focused is not line
        line.focus()
        line.value = "shop."
        await settled(pilot)
        await keys(pilot, "tab")
        assert line.value == "shop.db"
        assert line.cursor_position == len("shop.db")


def test_completions_put_databases_first_and_leave_out_side_files_and_hidden_ones(here: Path) -> None:
    assert completions("", here) == ["shop-old.sqlite", "shop.db", "data/", "notes.txt"]
    assert completions("sh", here) == ["shop-old.sqlite", "shop.db"]
    assert completions(".h", here) == [".hidden.db"]
    assert completions("data/", here) == []
    assert completions("no/such/", here) == []
    assert completions(f"{Path.cwd()}/n", here) == [f"{Path.cwd()}/notes.txt"]


async def test_what_was_found_is_shown_and_another_path_forgets_it(here: Path) -> None:
    engine = Engine(facts=FACTS | {"rows_exact": False, "rows": 5_000_000})
    app = App(engine, here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "SourcePage")
        await type_in(pilot, "shop.db")
        summary = str(app.screen.query_one("#summary").render())
        assert "about 5,000,000 (estimated" in summary
        assert "812 python3 app.py" in summary
        app.screen.query_one(PathInput).value = "shop"
        await settled(pilot)
        assert str(app.screen.query_one("#summary").render()) == ""


@pytest.mark.parametrize(
    ("typed", "words"), [("", "No file is named yet."), ("nope.db", "There is no file of that name.")]
)
async def test_a_path_that_leads_nowhere_stops_here(here: Path, typed: str, words: str) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "SourcePage")
        await type_in(pilot, typed)
        await keys(pilot, "f8")
        assert page(app) == "SourcePage"
        assert words in said(app)


async def test_a_file_that_can_t_be_read_says_why(here: Path, snap: Snap) -> None:
    refused = Refused("The source shop.db looks encrypted.", hint="Decrypt it first.", code="source_encrypted")
    app = App(Engine(facts=refused), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "SourcePage")
        await type_in(pilot, "shop.db")
        await keys(pilot, "enter")
        assert page(app) == "SourcePage"
        assert "looks encrypted" in str(app.screen.query_one("#summary", Said).render()), (
            "Enter looks before it goes on"
        )
        await keys(pilot, "f8")
        assert page(app) == "SourcePage"
        assert "looks encrypted" in said(app)
        assert "Decrypt it first." in said(app)
        calm(app)
        snap(app, "setup-source-refused")


async def test_exports_are_another_kind(here: Path) -> None:
    app = App(Engine(facts={"source": "files", "path": "a.csv", "format": "CSV", "size": 9}), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "SourcePage")
        await type_in(pilot, "notes.txt")
        await keys(pilot, "f8")
        assert "not a SQLite file" in said(app)


# the target


async def server(pilot: Any, app: App, address: str) -> None:
    await at(pilot, app, "TargetPage")
    await keys(pilot, "right", "tab")
    await type_in(pilot, address)


async def test_enter_shows_what_is_in_the_way_of_a_target(here: Path) -> None:
    app = App(Engine(target=FULL), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "postgresql://anna@db:5432/shop")
        await keys(pilot, "enter")
        assert "is not empty: a, b" in str(app.screen.query_one("#result", Said).render())


async def test_up_and_down_go_from_field_to_field(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "postgresql://anna@db:5432/shop")
        reached = []
        for key in ("down", "up", "up"):
            await keys(pilot, key)
            reached.append(app.focused.id if app.focused is not None else None)
        assert reached == ["password", "address", "sort"]


async def test_a_server_is_tested_and_its_answer_shown(here: Path, snap: Snap) -> None:
    engine = Engine()
    app = App(engine, here)
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "postgresql://anna@db:5432/shop")
        await keys(pilot, "enter")
        assert ("target", "postgresql://anna@db:5432/shop") in engine.asked
        assert "answers in 0.7 ms" in str(app.screen.query_one("#result").render())
        calm(app)
        snap(app, "setup-target-server")
        await keys(pilot, "f8")
        assert page(app) == "OptionsPage"


async def test_a_pasted_password_goes_where_it_can_t_be_seen_and_never_into_the_file(here: Path) -> None:
    engine = Engine()
    app = App(engine, here)
    async with app.run_test(size=(120, 40)) as pilot:
        await server(pilot, app, "postgresql://anna:canary%40x@db:5432/shop")
        assert app.screen.query_one("#address", Input).value == "postgresql://anna@db:5432/shop"
        assert app.screen.query_one("#password", Input).value == "canary@x"
        assert "canary" not in app.export_screenshot()
        await keys(pilot, "f8")
        assert ("target", "postgresql://anna:canary%40x@db:5432/shop") in engine.asked
        await keys(pilot, "f8", "f8", "f8")
        assert page(app) == "ReviewPage"
        assert "export DATABASE_URL=" in " ".join(str(app.screen.query_one("#note").render()).split())
        assert "canary" not in app.export_screenshot()
        assert "canary" not in repr(setup(app).state)
        await keys(pilot, "f8")
        assert app.begun == [Path("stepflow.yaml")]
        assert app.options.env == {"DATABASE_URL": "postgresql://anna:canary%40x@db:5432/shop"}
    text = Path("stepflow.yaml").read_text()
    assert "canary" not in text
    assert 'dsn: "${DATABASE_URL}"' in text
    loaded = load_config(Path("stepflow.yaml"), app.options.env)
    assert loaded.used_env == app.options.env
    assert "DATABASE_URL" not in os.environ


async def test_a_variable_that_means_another_database_is_left_alone(here: Path) -> None:
    app = App(Engine(), here, env={"DATABASE_URL": "postgresql://other/db"})
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "postgresql://anna:canary@db/shop")
        await keys(pilot, "f8", "f8", "f8", "f8", "f8")
        assert app.options.env["DATABASE_URL"] == "postgresql://other/db"
        assert app.options.env["STEPFLOW_DATABASE_URL"] == "postgresql://anna:canary@db/shop"
    assert "${STEPFLOW_DATABASE_URL}" in Path("stepflow.yaml").read_text()


async def test_a_target_that_doesn_t_answer_stops_once_and_then_lets_through(here: Path, snap: Snap) -> None:
    engine = Engine(target=TargetConnectionError("Nothing answers.", hint="Start the server.", code="down"))
    app = App(engine, here)
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "postgresql://db/shop")
        await keys(pilot, "f8")
        assert page(app) == "TargetPage"
        assert "connection test failed" in said(app)
        assert "Start the server." in str(app.screen.query_one("#result").render())
        calm(app)
        snap(app, "setup-target-down")
        await keys(pilot, "f8")
        assert page(app) == "OptionsPage"


async def test_a_target_with_tables_is_not_taken_without_a_word(here: Path) -> None:
    app = App(Engine(target=FULL), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "postgresql://db/shop")
        await keys(pilot, "f8")
        assert page(app) == "TargetPage"
        assert "can't take the tables" in said(app)
        assert "a, b" in str(app.screen.query_one("#result").render())


async def test_a_server_needs_an_address_however_often_one_presses(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await server(pilot, app, "")
        await keys(pilot, "f8", "f8", "f8")
        assert page(app) == "TargetPage"
        assert "No address is given yet." in said(app)


async def test_libpq_s_environment_needs_no_address(here: Path) -> None:
    engine = Engine()
    app = App(engine, here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "TargetPage")
        await keys(pilot, "left", "f8")
        assert ("target", "environment") in engine.asked
        assert page(app) == "OptionsPage"
        await keys(pilot, "f8", "f8", "f8", "f8")
    config = load_config(Path("stepflow.yaml"), {}).config
    assert config.target.dsn is None
    assert not config.target.embedded


# options and review


async def test_options_explain_what_is_chosen_and_are_written(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "OptionsPage")
        assert app.screen.query_one("#name", Input).value == "shop"
        app.screen.query_one("#level", Cycle).focus()
        await keys(pilot, "right")
        assert "every constraint" in str(app.screen.query_one("#about-level").render())
        app.screen.query_one("#mode", Cycle).focus()
        await keys(pilot, "right")
        assert "keeps writing" in str(app.screen.query_one("#about-mode").render())
        app.screen.query_one("#bad", Cycle).focus()
        await keys(pilot, "left")
        assert "data is lost" in str(app.screen.query_one("#about-bad").render())
        app.screen.query_one("#environment", Input).value = "production"
        app.screen.query_one("#backup", Input).value = "data"
        await keys(pilot, "f8", "f8", "f8", "f8")
    config = load_config(Path("stepflow.yaml"), {}).config
    assert (config.verify.level, config.copying.on_bad_value, config.environment) == (
        "comprehensive",
        "replace",
        "production",
    )
    assert config.mode == "live"
    assert config.backup.dir == Path.cwd() / "data"


async def test_the_application_s_keys_follow_its_recipe_and_all_is_written(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ApplicationPage")
        shown = [f for f in app.screen.query(Field) if str(f.id).startswith("field-key-") and f.display]
        assert shown == []
        app.screen.query_one("#recipe", Cycle).focus()
        await keys(pilot, *["left"])
        assert "foreground" in str(app.screen.query_one("#about-recipe").render())
        shown = [f for f in app.screen.query(Field) if str(f.id).startswith("field-key-") and f.display]
        assert [f.id for f in shown] == ["field-key-command", "field-key-pid_file"]
        for name, value in (
            ("key-command", "./serve.sh"), ("key-pid_file", "shop.pid"), ("settings-file", ".env"), ("setting-0", "A = 1"),
            ("setting-1", "DATABASE_URL = {target_dsn}"), ("health", "http://127.0.0.1:8000/health"),
        ):  # fmt: skip
            app.screen.query_one(f"#{name}", Input).value = value
            await settled(pilot)
        assert app.screen.query_one("#setting-2", Input).value == "", "there is always an empty line more"
        await keys(pilot, "escape", "f8")
        assert app.screen.query_one("#key-command", Input).value == "./serve.sh"
        await keys(pilot, "f8", "f8", "f8")
    application = load_config(Path("stepflow.yaml"), {}).config.application
    assert (application.recipe[0].command, application.recipe[0].pid_file) == ("./serve.sh", Path.cwd() / "shop.pid")
    assert list(application.switches[0].assignments) == ["A", "DATABASE_URL"]
    assert application.health[0].http == "http://127.0.0.1:8000/health"


async def test_what_an_application_lacks_is_said_on_its_page(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ApplicationPage")
        app.screen.query_one("#recipe", Cycle).focus()
        await keys(pilot, "right", "f8")
        assert page(app) == "ApplicationPage"
        assert "needs `unit`" in said(app)
        app.screen.query_one("#key-unit", Input).value = "shop"
        app.screen.query_one("#setting-0", Input).value = "TOKEN = canary"
        app.screen.query_one("#settings-file", Input).value = ".env"
        await keys(pilot, "f8")
        assert "secret" in said(app)
        app.screen.query_one("#setting-0", Input).value = "TOKEN = ${TOKEN}"
        await keys(pilot, "f8")
        assert page(app) == "OwnersPage"


async def test_a_dry_run_shows_what_would_be_done_and_changes_nothing(here: Path) -> None:
    app = App(Engine(), here)
    Path(".env").write_text("DATABASE_URL=sqlite:///shop.db\n")
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ApplicationPage")
        app.screen.query_one("#settings-file", Input).value = ".env"
        app.screen.query_one("#setting-0", Input).value = "DATABASE_URL = {target_dsn}"
        await settled(pilot)
        before = sorted((str(p), p.read_bytes()) for p in Path().rglob("*") if p.is_file())
        app.screen.query_one("#try", Button).focus()
        await keys(pilot, "enter")
        assert isinstance(app.screen, TextDialog)
        told = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "1 - DATABASE_URL = sqlite:///shop.db" in told
        await keys(pilot, "escape")
        assert page(app) == "ApplicationPage"
        app.screen.query_one("#settings-file", Input).value = ""
        app.screen.query_one("#try", Button).focus()
        await keys(pilot, "enter")
        assert "Name the settings file" in str(app.screen.query_one("#tried").render())
    assert sorted((str(p), p.read_bytes()) for p in Path().rglob("*") if p.is_file()) == before


async def test_a_window_is_asked_for_offline_only(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "OptionsPage")
        window = app.screen.query_one("#field-window")
        assert not window.display
        app.screen.query_one("#mode", Cycle).focus()
        await keys(pilot, "left")
        assert window.display
        assert "maintenance window" in str(app.screen.query_one("#about-mode").render())
        app.screen.query_one("#window", Input).value = "soon"
        await keys(pilot, "f8")
        assert "no length of a maintenance window" in said(app)
        app.screen.query_one("#window", Input).value = "45m"
        await keys(pilot, "f8", "f8", "f8", "f8")
    assert load_config(Path("stepflow.yaml"), {}).config.cutover.window == 2700


async def test_a_name_that_can_t_be_is_refused_on_its_page(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "OptionsPage")
        app.screen.query_one("#name", Input).value = "-no-"
        await keys(pilot, "f8")
        assert page(app) == "OptionsPage"
        assert "can't be a name" in said(app)


async def test_only_save_starts_nothing(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ReviewPage")
        app.screen.query_one("#save", Button).focus()
        await keys(pilot, "enter")
        assert isinstance(app.screen, PickerScreen)
        assert app.begun == []
        assert Path("stepflow.yaml").exists()


async def test_a_file_that_is_there_stays_and_another_name_is_offered(here: Path) -> None:
    Path("stepflow.yaml").write_text("mine")
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ReviewPage")
        box = app.screen.query_one("#write-to", Input)
        assert box.value == "stepflow-2.yaml"
        box.value = "stepflow.yaml"
        await keys(pilot, "f8")
        assert isinstance(setup(app).page, ReviewPage)
        assert "is there already" in said(app)
        assert box.value == "stepflow-2.yaml"
        await keys(pilot, "f8")
        assert app.begun == [Path("stepflow-2.yaml")]
    assert Path("stepflow.yaml").read_text() == "mine"


async def test_keys_in_one_packet_save_once(here: Path) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ReviewPage")
        await pilot.press("f8", "f8", "enter", "f8")
        await settled(pilot)
        assert app.begun == [Path("stepflow.yaml")]
        assert [p.name for p in Path().glob("stepflow*.yaml")] == ["stepflow.yaml"]


async def test_a_read_only_session_writes_nothing(here: Path) -> None:
    app = App(Engine(), here, read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await at(pilot, app, "ReviewPage")
        await keys(pilot, "f8")
        assert "read-only" in said(app)
        assert not Path("stepflow.yaml").exists()


@pytest.mark.parametrize("size", [(80, 20), (80, 24), (120, 40)])
async def test_every_page_can_be_reached_and_left_at_every_size(here: Path, size: tuple[int, int]) -> None:
    app = App(Engine(), here)
    async with app.run_test(size=size) as pilot:
        seen = []
        await settled(pilot)
        await keys(pilot, "n")
        for _kind in PAGES:
            seen.append(page(app))
            next_button = app.screen.query_one("#next").region
            assert next_button.height == 1
            assert next_button.bottom < size[1]
            if page(app) == "SourcePage":
                await type_in(pilot, "shop.db")
            if page(app) != "ReviewPage":
                await keys(pilot, "f8")
        assert seen == [kind.__name__ for kind in PAGES]


def test_the_state_keeps_its_password_to_itself(here: Path) -> None:
    state = SetupState(folder=here, target="server", address="postgresql://u@h/d", password="canary")
    assert "canary" not in repr(state)
    engine: Any = Engine()
    assert "canary" not in repr(state.draft(engine, {}))
