"""The config screen: problems with their lines, reading again after an edit, and starting what is in order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screens.config import ConfigScreen
from screens.config_text import numbered, problem_line, problems_of
from screens.picker import PickerScreen
from screens.widgets.pick_list import PickList
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import ConfigError, StepFlowError
from stepflow_tui.engine.texts import language
from tests.tui.conftest import Snap
from tests.tui.kit import SIZES
from tests.tui.setup_kit import App, Engine, keys, settled

GOOD = "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: a.db}\ntarget: {embedded: true}\n"
BAD = """\
version: 1
name: shop
kind: sqlite-to-postgres
source:
  pat: shop.db       # [red]no markup[/]
target:
  embeded: true
verify:
  level: deep
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config under a short path, so that pictures are the same everywhere."""
    monkeypatch.chdir(tmp_path)
    path = Path("stepflow.yaml")
    path.write_text(BAD)
    return path


def verdict(app: App) -> str:
    return str(app.screen.query_one("#verdict").render())


@pytest.mark.parametrize("lang", ["en", "zh"])
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_pictures(config: Path, snap: Snap, size: tuple[int, int], lang: str) -> None:
    language.use(lang)
    app = App(Engine(), Path())
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await app.push_screen(ConfigScreen(config))
        await settled(pilot)
        snap(app, f"config-bad-{size[0]}-{lang}")
        config.write_text(GOOD)
        await keys(pilot, "r")
        snap(app, f"config-good-{size[0]}-{lang}")


async def test_every_problem_stands_there_with_its_line(config: Path) -> None:
    app = App(Engine(), Path())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await app.push_screen(ConfigScreen(config))
        await settled(pilot)
        shown = [line.text.plain for line in app.screen.query_one(PickList)._shown_lines]
        assert any(s.startswith("stepflow.yaml:5: source.pat: unknown key (did you mean path?)") for s in shown)
        assert any(s.startswith("stepflow.yaml:7: target.embeded:") for s in shown)
        assert any(s.startswith("stepflow.yaml:9: verify.level:") for s in shown)
        assert str(len(shown)) in verdict(app)


@pytest.mark.parametrize("key", ["enter", "c"])
async def test_it_starts_only_when_nothing_is_wrong(config: Path, key: str) -> None:
    app = App(Engine(), Path())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await app.push_screen(ConfigScreen(config))
        await settled(pilot)
        await keys(pilot, key)
        assert app.begun == []
        assert isinstance(app.screen, ConfigScreen)
        config.write_text(GOOD)
        await keys(pilot, "r", key)
        assert app.begun == [config]
        assert isinstance(app.screen, PickerScreen)


async def test_a_read_only_session_starts_nothing(config: Path) -> None:
    config.write_text(GOOD)
    app = App(Engine(), Path(), read_only=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await app.push_screen(ConfigScreen(config))
        await settled(pilot)
        await keys(pilot, "c")
        assert app.begun == []


async def test_a_missing_variable_is_a_problem_and_the_session_s_own_counts(config: Path) -> None:
    config.write_text(GOOD.replace("{embedded: true}", "{dsn: '${DATABASE_URL}'}"))
    app = App(Engine(), Path())
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await app.push_screen(ConfigScreen(config))
        await settled(pilot)
        assert "not set: DATABASE_URL." in verdict(app)
        await keys(pilot, "c")
        assert app.begun == [config], "the app asks for the value"
        await app.push_screen(ConfigScreen(config))
        await settled(pilot)
        app.options.env["DATABASE_URL"] = "postgresql://u:canary@h/d"
        await keys(pilot, "r")
        assert "can be used" in verdict(app)
        assert "canary" not in app.export_screenshot()


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff\xfe\x00")])
async def test_what_is_no_config_is_said(tmp_path: Path, make: object) -> None:
    path = tmp_path / "x.yaml"
    assert callable(make)
    make(path)
    app = App(Engine(), tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await app.push_screen(ConfigScreen(path))
        await settled(pilot)
        assert "problem" in verdict(app)
        await keys(pilot, "escape")
        assert isinstance(app.screen, PickerScreen)


def test_problems_keep_what_the_engine_said(config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(config, {})
    found = problems_of(caught.value, config)
    assert len(found) == len(caught.value.detail.splitlines())
    for problem, said in zip(found, caught.value.detail.splitlines(), strict=True):
        assert said.endswith(problem_line(problem, config).plain.removeprefix("stepflow.yaml"))


@given(st.text(max_size=80))
def test_whatever_a_file_holds_it_is_shown_as_text(text: str) -> None:
    shown = numbered(text, {1}, 1, "▸").plain
    assert not {c for c in shown if ord(c) < 32} - {"\n"}
    problem_line(problems_of(StepFlowError(text, detail=text), Path("a.yaml"))[0], Path("a.yaml"))
