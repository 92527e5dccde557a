"""Source and target from the environment or a file of variables: every way to write them, and what contradicts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stepflow_tui.engine.config import LoadedConfig, load_config
from stepflow_tui.engine.config_database import NAMES
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.config_dsn import dsn_options
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.session import secrets_of

BASE = "version: 1\nname: shop\nkind: sqlite-to-postgres\n"
SECRET = "canary-geheim"


def load(
    folder: Path, lines: str = "database_env: {file: .env}\n", env: Mapping[str, str] | None = None
) -> LoadedConfig:
    path = folder / "stepflow.yaml"
    path.write_text(BASE + lines)
    return load_config(path, env or {})


def dotenv(folder: Path, **values: str) -> None:
    (folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in values.items()))


def problem(folder: Path, **values: str) -> str:
    """What is said about an environment that can't be used; never a secret."""
    with pytest.raises(ConfigError) as caught:
        load(folder, env=values)
    said = str(caught.value)
    assert SECRET not in said
    assert said.count("database_env:") == 1, said
    assert "one problem" in said
    return said


def dsn(loaded: LoadedConfig) -> dict[str, str]:
    assert loaded.config.target.dsn is not None
    text = loaded.config.target.dsn.get_secret_value()
    target = Target.from_config(text, {})  # what is made of it must be what libpq takes
    assert target.password == dsn_options(text).get("password")
    return dsn_options(text)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/shop.db", "data/shop.db"),
        ("sqlite:////srv/shop.db", "/srv/shop.db"),
        ("sqlite+aiosqlite:///shop.db?timeout=20", "shop.db"),
        ("sqlite+pysqlite:////srv/a%20b.db", "/srv/a b.db"),
        ("sqlite3:///db.sqlite3", "db.sqlite3"),
        ("file:./dev.db", "dev.db"),
        ("file:///srv/dev.db?connection_limit=1", "/srv/dev.db"),
        ("SQLITE:///shop.db", "shop.db"),
    ],
)
def test_a_source_as_an_address(url: str, path: str, tmp_path: Path) -> None:
    dotenv(tmp_path, DATABASE_URL=url)
    found = load(tmp_path, "database_env: {file: .env}\ntarget: {embedded: true}\n").config.source.path
    assert found == tmp_path / path


def test_relative_paths_start_in_the_folder_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    dotenv(tmp_path / "app", SQLITE_PATH="data/shop.db")
    lines = "database_env: {file: app/.env}\ntarget: {embedded: true}\n"
    assert load(tmp_path, lines).config.source.path == tmp_path / "app" / "data" / "shop.db"
    with_process = load(tmp_path, lines, {"SQLITE_PATH": "other.db"})
    assert with_process.config.source.path == tmp_path / "app" / "other.db"


def test_a_name_with_a_percent_sign_that_is_there_is_meant(tmp_path: Path) -> None:
    (tmp_path / "50%20.db").touch()
    dotenv(tmp_path, DATABASE_URL="sqlite:///50%20.db")
    assert load(tmp_path, "database_env:\ntarget: {embedded: true}\n").config.source.path.name == "50%20.db"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("postgresql://u:p%40w%2F@h:5433/d", {"host": "h", "port": "5433", "dbname": "d", "user": "u", "password": "p@w/"}),
        ("postgres://u@h/d", {"host": "h", "dbname": "d", "user": "u"}),
        ("postgresql+asyncpg://u:p@h/d?ssl=require", {"host": "h", "dbname": "d", "user": "u", "password": "p", "sslmode": "require"}),
        ("postgresql+psycopg2://u:p@/d?host=/run/pg", {"dbname": "d", "user": "u", "password": "p", "host": "/run/pg"}),
        ("postgresql://u:p@[::1]:5432/d", {"host": "::1", "port": "5432", "dbname": "d", "user": "u", "password": "p"}),
        ("postgres://u:p@h/d?sslmode=verify-full&conn_max_age=60&prepared_statement_cache_size=0",
         {"host": "h", "dbname": "d", "user": "u", "password": "p", "sslmode": "verify-full"}),
        ("host=/run/x port=5433 dbname='my shop' user=u password=p,q", {"host": "/run/x", "port": "5433", "dbname": "my shop", "user": "u", "password": "p,q"}),
    ],
)  # fmt: skip
def test_a_target_as_an_address(url: str, options: dict[str, str], tmp_path: Path) -> None:
    dotenv(tmp_path, DATABASE_URL=url, SQLITE_PATH="s.db")
    assert dsn(load(tmp_path)) == options


@pytest.mark.parametrize(
    ("parts", "options"),
    [
        ({"HOST": "h", "PORT": "5433", "NAME": "d", "USER": "u", "PASSWORD": "p@:/#?%"},
         {"host": "h", "port": "5433", "dbname": "d", "user": "u", "password": "p@:/#?%"}),
        ({"HOST": "::1", "PORT": "5433", "NAME": "d", "USER": "u"}, {"host": "::1", "port": "5433", "dbname": "d", "user": "u"}),
        ({"HOST": "[fe80::2]", "NAME": "d"}, {"host": "fe80::2", "dbname": "d"}),
        ({"HOST": "/var/run/postgresql", "PORT": "5433", "NAME": "d b", "USER": "a@b"},
         {"host": "/var/run/postgresql", "port": "5433", "dbname": "d b", "user": "a@b"}),
        ({"TYPE": "django.db.backends.postgresql", "NAME": "d", "USER": "u"}, {"dbname": "d", "user": "u"}),
        ({"TYPE": "postgres", "NAME": "d", "PORT": "5434"}, {"dbname": "d", "port": "5434"}),
    ],
)  # fmt: skip
def test_a_target_in_parts(parts: dict[str, str], options: dict[str, str], tmp_path: Path) -> None:
    env = {f"APP_DATABASE_{k}": v for k, v in parts.items()}
    lines = "database_env: {prefix: APP_}\nsource: {path: s.db}\n"
    assert dsn(load(tmp_path, lines, env)) == options


def test_django_and_its_name(tmp_path: Path) -> None:
    env = {"DATABASE_TYPE": "django.db.backends.sqlite3", "DATABASE_NAME": "db.sqlite3"}
    loaded = load(tmp_path, "database_env:\ntarget: {embedded: true}\n", env)
    assert loaded.config.source.path == tmp_path / "db.sqlite3"


def test_both_sides_at_once_whatever_the_application_uses_now(tmp_path: Path) -> None:
    env = {"SQLITE_PATH": "s.db", "DATABASE_HOST": "h", "DATABASE_NAME": "d", "DATABASE_USER": "u"}
    for now in ("sqlite", "postgresql"):
        loaded = load(tmp_path, env={**env, "DATABASE_TYPE": now})
        assert (loaded.config.source.path.name, dsn(loaded)["dbname"]) == ("s.db", "d")


def test_the_environment_wins_over_the_file_and_an_empty_variable_is_none(tmp_path: Path) -> None:
    dotenv(tmp_path, SQLITE_PATH="s.db", DATABASE_URL="postgresql://file/d")
    assert dsn(load(tmp_path, env={"DATABASE_URL": "postgresql://process/d"}))["host"] == "process"
    assert dsn(load(tmp_path, env={"DATABASE_URL": ""}))["host"] == "file"


def test_what_the_config_says_wins(tmp_path: Path) -> None:
    dotenv(tmp_path, SQLITE_PATH="s.db", DATABASE_URL="postgresql://file/d")
    loaded = load(tmp_path, "database_env:\nsource: {path: mine.db}\n")
    assert loaded.config.source.path.name == "mine.db"
    both = "database_env:\nsource: {path: mine.db}\ntarget: {dsn: 'postgresql://mine/d'}\n"
    assert dsn(load(tmp_path, both, {"DATABASE_TYPE": "oracle"}))["host"] == "mine"


def test_without_the_section_nothing_is_read(tmp_path: Path) -> None:
    dotenv(tmp_path, SQLITE_PATH="s.db", DATABASE_URL="postgresql://file/d")
    loaded = load(tmp_path, "source: {path: s.db}\n", {"DATABASE_URL": "postgresql://process/d"})
    assert loaded.config.target.dsn is None
    with pytest.raises(ConfigError, match="source"):
        load(tmp_path, "name2: x\n", {"SQLITE_PATH": "s.db"})


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"DATABASE_URL": f"postgresql://u:{SECRET}@a/d", "DATABASE_HOST": "b"}, ("DATABASE_URL", "DATABASE_HOST")),
        ({"DATABASE_URL": "postgresql://a/d", "DATABASE_NAME": "e", "DATABASE_HOST": "a"}, ("DATABASE_URL", "DATABASE_NAME")),
        ({"DATABASE_URL": f"postgresql://u:{SECRET}@a/d", "DATABASE_USER": "u", "DATABASE_PASSWORD": f"{SECRET}2"},
         ("DATABASE_URL", "DATABASE_PASSWORD")),
        ({"DATABASE_URL": "postgresql://a/d", "DATABASE_HOST": "a", "DATABASE_PORT": "6432"}, ("DATABASE_URL", "DATABASE_PORT")),
        ({"DATABASE_URL": "postgresql://a/d", "DATABASE_TYPE": "sqlite"}, ("DATABASE_URL", "DATABASE_TYPE")),
        ({"DATABASE_URL": "sqlite:///a.db", "SQLITE_PATH": "b.db"}, ("DATABASE_URL", "SQLITE_PATH")),
        ({"DATABASE_TYPE": "sqlite", "DATABASE_NAME": "a.db", "SQLITE_PATH": "b.db"}, ("DATABASE_NAME", "SQLITE_PATH")),
    ],
)  # fmt: skip
def test_two_that_contradict_each_other_are_both_named(
    values: dict[str, str], names: tuple[str, ...], tmp_path: Path
) -> None:
    said = problem(tmp_path, **values)
    assert "contradict each other" in said
    assert all(name in said for name in names)


def test_two_that_say_the_same_are_fine(tmp_path: Path) -> None:
    url = "postgresql://u:p@h:5432/d"
    parts = {
        "DATABASE_HOST": "h",
        "DATABASE_PORT": "5432",
        "DATABASE_NAME": "d",
        "DATABASE_USER": "u",
        "DATABASE_PASSWORD": "p",
    }
    loaded = load(tmp_path, env={"DATABASE_URL": url, "SQLITE_PATH": "./s.db", **parts})
    assert dsn(loaded)["host"] == "h"
    same = {"DATABASE_URL": "sqlite:///s.db", "SQLITE_PATH": str(tmp_path / "s.db")}
    lines = "database_env:\ntarget: {embedded: true}\n"
    assert load(tmp_path, lines, same).config.source.path.name == "s.db"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "SQLITE_PATH"),
        ({"SQLITE_PATH": "s.db"}, "DATABASE_URL"),
        ({"DATABASE_URL": f"mysql://u:{SECRET}@h/d"}, "neither"),
        ({"DATABASE_URL": f"jdbc:postgresql://u:{SECRET}@h/d"}, "neither"),
        ({"DATABASE_URL": "sqlite://shop.db"}, "three slashes"),
        ({"DATABASE_URL": "sqlite://"}, "three slashes"),
        ({"DATABASE_URL": "sqlite:///:memory:"}, "memory"),
        ({"DATABASE_URL": f"postgresql://u:{SECRET}/x@h/d", "SQLITE_PATH": "s.db"}, "DATABASE_URL"),
        ({"DATABASE_TYPE": "oracle"}, "DATABASE_TYPE"),
        ({"SQLITE_PATH": "sqlite:///s.db"}, "an address, not a path"),
        ({"SQLITE_PATH": "s.db", "DATABASE_HOST": "h"}, "DATABASE_NAME"),
        ({"SQLITE_PATH": "s.db", "DATABASE_HOST": "h", "DATABASE_NAME": "d", "DATABASE_PORT": "0x1"}, "DATABASE_PORT"),
        ({"SQLITE_PATH": "s.db", "DATABASE_URL": "postgresql://h/d", "SQLITE_BUSY_TIMEOUT": "5s"}, "SQLITE_BUSY_TIMEOUT"),
    ],
)  # fmt: skip
def test_what_is_refused_in_one_line(values: dict[str, str], words: str, tmp_path: Path) -> None:
    assert words in problem(tmp_path, **values)


def test_the_busy_timeout_is_the_sources(tmp_path: Path) -> None:
    dotenv(tmp_path, SQLITE_PATH="s.db", SQLITE_BUSY_TIMEOUT="1500")
    lines = "database_env:\ntarget: {embedded: true}\n"
    assert load(tmp_path, lines).config.source.busy_timeout == 1.5
    assert load(tmp_path, lines + "source: {busy_timeout: 3s}\n").config.source.busy_timeout == 3.0


def test_a_variable_that_the_switch_changes_is_no_place_to_look(tmp_path: Path) -> None:
    dotenv(tmp_path, DATABASE_URL="sqlite:///s.db")
    switch = "application: {switches: [{file: .env, set: {DATABASE_URL: '{target_dsn}'}}]}\n"
    lines = "database_env:\ntarget: {embedded: true}\n" + switch
    with pytest.raises(ConfigError, match=r"DATABASE_URL is read here and changed"):
        load(tmp_path, lines)
    assert load(tmp_path, lines + "source: {path: s.db}\n").config.source.path.name == "s.db"
    dotenv(tmp_path, SQLITE_PATH="s.db", DATABASE_URL="sqlite:///s.db")  # the path stays what it is
    with pytest.raises(ConfigError, match="SQLITE_PATH is read here"):
        load(tmp_path, lines.replace("set: {DATABASE_URL", "set: {SQLITE_PATH"))


def test_a_file_as_people_write_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(
        b"\xef\xbb\xbf# the shop\r\n\r\nexport SQLITE_PATH='my data.db'  # here\r\n"
        b'DATABASE_USER=u\r\nDATABASE_PASSWORD="a\\"b$c#d"\r\nDATABASE_NAME=d # not more\r\n'
        b"DATABASE_HOST=${PGHOSTNAME:-h}\r\nEMPTY=\r\nDATABASE_PORT = 5433"
    )
    loaded = load(tmp_path)
    assert loaded.config.source.path.name == "my data.db"
    assert dsn(loaded) == {"host": "h", "port": "5433", "dbname": "d", "user": "u", "password": 'a"b$c#d'}


@pytest.mark.parametrize("line", [f"DATABASE_PASSWORD='{SECRET}", f"{SECRET} and more", f"A='x' {SECRET}", "A=\xff"])
def test_a_line_that_cant_be_read_is_named_without_its_text(line: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"SQLITE_PATH=s.db\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert SECRET not in str(caught.value)
    assert ".env" in str(caught.value)
    assert "2" in str(caught.value)


def test_secrets_are_known_as_such(tmp_path: Path) -> None:
    dotenv(
        tmp_path, SQLITE_PATH="s.db", DATABASE_HOST="h", DATABASE_NAME="d", DATABASE_USER="u", DATABASE_PASSWORD=SECRET
    )
    loaded = load(tmp_path)
    assert SECRET not in loaded.redacted
    assert SECRET not in repr(loaded) + repr(loaded.config) + str(loaded.sides) + str(loaded.plan_relevant)
    assert SECRET not in secrets_of(loaded, {})(f"x {SECRET} y")
    assert "h" in secrets_of(loaded, {})("the host h")


def test_what_was_read_goes_to_the_engine(tmp_path: Path) -> None:
    """It is a process with another environment: it must find the same sides."""
    dotenv(tmp_path, SQLITE_PATH="s.db")
    first = load(tmp_path, env={"DATABASE_URL": "postgresql://h/d"})
    (tmp_path / ".env").unlink()
    again = load(tmp_path, env=first.used_env)
    assert (again.sides, again.plan_hash) == (first.sides, first.plan_hash)
    assert set(first.used_env) <= set(NAMES)
