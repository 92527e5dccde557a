"""`init` writes a config that loads."""

from __future__ import annotations

import json
import sqlite3
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
        (["files-to-database", "--source", "x"], 2, "not in this version"),
        (["table-to-table", "--source", "x"], 2, "not in this version"),
        (["sqlite-wal"], 6, "--source"),
        (["sqlite-wal", "--source", "x", "--target", "embedded"], 2, "no target"),
        (["sqlite-wal", "--source", "x", "--mode", "copy"], 2, "in-place, offline"),
        (["sqlite-to-postgres", "--source", "x", "--mode", "in-place"], 2, "copy, live, offline"),
        (["mysql", "--source", "x"], 2, "no playbook"),
        (["sqlite-to-postgres", "--source", "x", "--target", "postgresql://u:geheim@h/d"], 2, "password"),
        (["sqlite-to-postgres", "--source", "x", "--target", "host=h password=geheim"], 2, "password"),
        (["sqlite-to-postgres", "--source", "x", "-o", "no/such/folder.yaml"], 2, "can't be written"),
        (["sqlite-to-postgres", "--source", "x", "--level", "deep"], 2, "comprehensive"),
        (["sqlite-to-postgres", "--source", "x", "--on-bad-value", "drop"], 2, "bytea"),
        (["sqlite-to-postgres", "--source", "x", "--name", "a b"], 2, "name"),
        (["sqlite-to-postgres", "--source", "x", "--owner", "teams-told"], 2, "ITEM=NAME"),
        (["sqlite-to-postgres", "--source", "x", "--owner", "nope=x"], 2, "no item"),
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


def test_every_choice_of_the_wizard_is_an_option(cli: Cli, tmp_path: Path) -> None:
    options = ["--name", "s1", "--environment", "production", "--schema", "app", "--level", "basic", "--mode", "copy"]
    more = ["--on-bad-value", "bytea", "--backup-dir", "bk", "--owner", "teams-told=Anna", "--owner", "users-work=B=C"]
    assert cli("init", "sqlite-to-postgres", "--source", "x.db", "--target", "environment", *options, *more) == 0
    config = load_config(tmp_path / "stepflow.yaml", {}).config
    assert (config.name, config.environment, config.target.schema_name) == ("s1", "production", "app")
    assert (config.verify.level, config.copying.on_bad_value) == ("basic", "bytea")
    assert config.target.dsn is None
    assert not config.target.embedded
    assert config.backup.dir == tmp_path / "bk"
    assert [(i.id, i.owner) for i in config.checklist.before] == [("teams-told", "Anna")]
    assert [(i.id, i.owner) for i in config.checklist.after] == [("users-work", "B=C")]


def test_a_live_run_is_written_with_a_level_that_proves_enough(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "sqlite-to-postgres", "--source", "x.db", "--target", "environment", "--mode", "live") == 0
    config = load_config(tmp_path / "stepflow.yaml", {}).config
    assert (config.mode, config.verify.level) == ("live", "detailed")


@pytest.mark.parametrize(("options", "mode"), [([], "in-place"), (["--mode", "offline"], "offline")])
def test_a_conversion_in_place_is_written_without_a_target(
    options: list[str], mode: str, cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("init", "sqlite-wal", "--source", "x.db", *options, "--json") == 0
    assert json.loads(capsys.readouterr().out)["env_example"] is None
    config = load_config(tmp_path / "stepflow.yaml", {}).config
    assert (config.kind, config.mode, config.source.path) == ("sqlite-wal", mode, tmp_path / "x.db")
    assert "target" not in (tmp_path / "stepflow.yaml").read_text().replace(str(tmp_path), "")
    assert not (tmp_path / ".env.example").exists()


def test_the_table_of_kinds(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("init", "--advise", "--json") == 0
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    assert [k["kind"] for k in kinds if k["available"]] == ["sqlite-wal", "sqlite-to-postgres"]
    assert cli("init", "--advise") == 0
    assert len(capsys.readouterr().out.splitlines()) == len(kinds)


def test_advice_from_answers_alone(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        cli("init", "--advise", "--writers", "9", "--locked", "no", "--users", "3", "--requests", "0.5", "--json") == 0
    )
    found = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["available"], found["facts"]) == ("sqlite-to-postgres", True, {})
    assert [r["code"] for r in found["reasons"]] == ["many_writers", "not_measured"]
    assert cli("init", "--advise", "--locked", "yes") == 0
    said = capsys.readouterr().out
    assert "Recommended: sqlite-wal." in said
    assert "later version" not in said


def test_advice_from_a_file(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    connection = sqlite3.connect(tmp_path / "shop.db")
    connection.execute("create table t (i)")
    connection.close()
    assert cli("init", "--advise", "--source", "shop.db", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] is None
    assert (found["facts"]["tables"], found["facts"]["rows"]) == (1, 0)
    assert cli("init", "--advise", "--source", "shop.db") == 0
    assert "Stay as you are." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--source", "missing.db"], 4),
        (["--locked", "perhaps"], 2),
        (["--writers", "-1"], 2),
        (["--writers", "many"], 2),
    ],
)
def test_advice_that_can_t_be_given(args: list[str], code: int, cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("init", "--advise", *args) == code
    assert "hint:" in capsys.readouterr().err


def test_advice_asks_on_a_terminal(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter(["7", "n", "", "12.5", "unused"])
    monkeypatch.setattr("stepflow_tui.cli.diagnostics.interactive", lambda _session: True)
    monkeypatch.setattr("stepflow_tui.cli.diagnostics.ask", lambda prompt: next(answers))
    assert cli("init", "--advise") == 0
    assert "Recommended: sqlite-to-postgres." in capsys.readouterr().out
    assert next(answers) == "unused"  # four questions, and no more


def test_an_option_stands_for_its_question(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("stepflow_tui.cli.diagnostics.interactive", lambda _session: True)
    monkeypatch.setattr("stepflow_tui.cli.diagnostics.ask", lambda prompt: asked.append(prompt) or "")
    assert cli("init", "--advise", "--writers", "9", "--locked", "yes", "--users", "1") == 0
    assert len(asked) == 1
    assert "requests" in asked[0]
    assert "sqlite-to-postgres" in capsys.readouterr().out


def variables(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_an_example_of_the_variables_lies_beside_it(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "sqlite-to-postgres", "--source", "x.db") == 0
    found = variables(tmp_path / ".env.example")
    assert {"DATABASE_URL", "SQLITE_PATH", "SQLITE_BUSY_TIMEOUT", "DATABASE_PASSWORD"} <= set(found)
    assert not any(found[k] for k in found if "PASSWORD" in k or "URL" in k or "USER" in k)


def test_source_and_target_from_variables_with_a_prefix(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "sqlite-to-postgres", "--env-prefix", "SHOP_", "--env-file", "conf/prod.env", "--name", "s") == 0
    found = variables(tmp_path / ".env.example")
    assert all(name.startswith("SHOP_") for name in found)
    (tmp_path / "conf").mkdir()
    filled = {**found, "SHOP_SQLITE_PATH": "../data/x.db", "SHOP_DATABASE_URL": "", "SHOP_DATABASE_HOST": "h",
              "SHOP_DATABASE_NAME": "d"}  # fmt: skip
    (tmp_path / "conf" / "prod.env").write_text("".join(f"{k}={v}\n" for k, v in filled.items()))
    config = load_config(tmp_path / "stepflow.yaml", {}).config
    assert config.source.path.resolve() == tmp_path / "data" / "x.db"
    assert config.source.busy_timeout == 5.0
    assert config.target.dsn is not None
    assert config.target.dsn.get_secret_value() == "postgresql://h:5432/d"


def test_an_example_that_is_there_stays(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".env.example").write_text("MINE=1\n")
    assert cli("init", "sqlite-to-postgres", "--source", "x.db", "--target", "${PG_MAIN}", "--json") == 0
    assert json.loads(capsys.readouterr().out)["env_example"] is None
    assert (tmp_path / ".env.example").read_text() == "MINE=1\n"
    (tmp_path / ".env.example").unlink()
    assert cli("init", "sqlite-to-postgres", "--source", "x.db", "--target", "${PG_MAIN}", "-o", "b.yaml") == 0
    assert variables(tmp_path / ".env.example")["PG_MAIN"] == ""


def test_a_prefix_that_no_variable_can_have(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "sqlite-to-postgres", "--env-prefix", "1-x") == 2
    assert list(tmp_path.glob(".env*")) == []


@pytest.mark.parametrize("kind", ["sqlite-wal", "sqlite-to-postgres"])
def test_a_source_that_is_not_there_is_said(
    cli: Cli, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("init", kind, "--source", "nosuch.db") == 0
    assert "note: nosuch.db is not there (yet)" in capsys.readouterr().err
    (tmp_path / "is.db").touch()
    assert cli("init", kind, "--source", "is.db", "-o", "other.yaml") == 0
    assert "is not there" not in capsys.readouterr().err
