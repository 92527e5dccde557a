"""`init` writes a config that loads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stepflow_tui.engine.config import load_config

Cli = Callable[..., int]


def test_what_it_writes_loads(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "sqlite-to-postgres", "--source", "data/my shop.db") == 0
    loaded = load_config(tmp_path / "stepflow.yaml", {"DATABASE_URL": "postgresql://u:p@h/d"})
    assert loaded.config.source.path == tmp_path / "data" / "my shop.db"
    assert loaded.config.name == "my-shop"
    assert (tmp_path / "stepflow.yaml").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("source", ["a'b\".db", "${HOME}.db", "x: y #z.db", "-.db", "数据.db", "a\tb.db"])
def test_hostile_names(source: str, cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "sqlite-to-postgres", "--source", source, "--target", "embedded", "-o", "sub.yaml") == 0
    assert load_config(tmp_path / "sub.yaml", {}).config.source.path == tmp_path / source


def test_relative_sources_are_written_relative_to_the_config(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    assert cli("init", "sqlite-to-postgres", "--source", "shop.db", "--target", "embedded", "-o", "conf/c.yaml") == 0
    path = load_config(tmp_path / "conf" / "c.yaml", {}).config.source.path
    assert path.resolve() == tmp_path / "shop.db"


def test_it_never_overwrites(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stepflow.yaml").write_text("mine")
    assert cli("init", "sqlite-to-postgres", "--source", "x.db", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "config_exists"
    assert (tmp_path / "stepflow.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ([], 6, "KIND"),
        (["sqlite-to-postgres"], 6, "--source"),
        (["sqlite-wal", "--source", "x"], 2, "not in this version"),
        (["mysql", "--source", "x"], 2, "no playbook"),
        (["sqlite-to-postgres", "--source", "x", "--target", "postgresql://u:geheim@h/d"], 2, "password"),
        (["sqlite-to-postgres", "--source", "x", "--target", "host=h password=geheim"], 2, "password"),
        (["sqlite-to-postgres", "--source", "x", "-o", "no/such/folder.yaml"], 2, "can't be written"),
    ],
)
def test_what_it_refuses(
    args: list[str], code: int, words: str, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("init", *args) == code
    shown = capsys.readouterr()
    assert words in shown.err
    assert "geheim" not in shown.err
    assert not (tmp_path / "stepflow.yaml").exists()


def test_advice(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("init", "--advise", "--json") == 0
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    assert [k["kind"] for k in kinds if k["available"]] == ["sqlite-to-postgres"]
