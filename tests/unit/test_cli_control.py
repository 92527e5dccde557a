"""`control`: shows who steers, and sends what is asked for about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.texts import language
from tests.unit.cli_kit import RUN, STATUS, FakeEngine, FakeReader

Cli = Callable[..., int]


@pytest.fixture(autouse=True)
def ready(engine: FakeEngine) -> FakeEngine:
    """A run that somebody steers."""
    engine.reader = FakeReader(state=STATUS)
    return engine


def test_it_shows_the_holder_and_who_asks(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("control", "shop") == 0
    out = capsys.readouterr().out
    assert "ann at pts/3 steers this run." in out
    assert "bob asks for control." in out


def test_its_json_is_the_statuss(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("control", "shop", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run": RUN, **STATUS["control"]}


def test_it_speaks_chinese(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    cli("control", "shop", "--lang", "zh")
    language.use("en")
    assert "ann at pts/3" in capsys.readouterr().out


@pytest.mark.parametrize(("option", "verb", "args", "take"), [
    (["--ask"], "ask", {}, False),
    (["--take"], "hold", {}, True),
    (["--give", "bob"], "give", {"to": "bob"}, False),
    (["--release"], "release", {}, False),
])  # fmt: skip
def test_each_option_is_an_intent(
    cli: Cli,
    ready: FakeEngine,
    monkeypatch: pytest.MonkeyPatch,
    option: list[str],
    verb: str,
    args: dict[str, Any],
    take: bool,
) -> None:
    sent = []

    async def send(_run: Any, verb: str, args: dict[str, Any], *, take_control: bool, **_: Any) -> dict[str, Any]:
        sent.append((verb, args, take_control))
        return {"state": "done", "answer": {}, "after": 0}

    monkeypatch.setattr(ready, "send", send)
    assert cli("control", "shop", *option) == 0
    assert sent == [(verb, args, take)]


@pytest.mark.parametrize("option", [["--ask"], ["--take"], ["--give", "bob"], ["--release"]])
def test_a_reader_changes_nothing(
    cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    assert cli("control", "shop", *option, "--read-only") == 2
    assert "read_only" in capsys.readouterr().err
    assert [name for name, _ in ready.calls if name != "resolve_run"] == []


def test_only_one_thing_at_a_time(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("control", "shop", "--ask", "--take") == 2
    assert "Only one" in capsys.readouterr().err
