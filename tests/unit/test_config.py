"""Reading a config file: defaults, every problem at once, hashes, secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepflow_tui.engine.config import LoadedConfig, changed_keys, load_config
from stepflow_tui.engine.errors import ConfigError, ExitCode
from stepflow_tui.engine.model.config import BadValue, DateUnit, Level, TablesMode

MINIMAL = """\
version: 1
name: shop
kind: sqlite-to-postgres
source: {path: ./shop.db}
target: {embedded: true}
"""


def load(tmp_path: Path, text: str | bytes, env: dict[str, str] | None = None) -> LoadedConfig:
    file = tmp_path / "stepflow.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(file, env or {})


def problems(tmp_path: Path, text: str | bytes, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, env)
    assert caught.value.exit_code is ExitCode.USAGE
    prefix = f"{tmp_path / 'stepflow.yaml'}:"
    lines = caught.value.detail.splitlines()
    assert all(line.startswith(prefix) for line in lines), lines
    return [line.removeprefix(prefix) for line in lines]


def test_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL).config
    assert config.source.path == tmp_path / "shop.db"
    assert config.source.allow_stall == 30
    assert (config.target.schema_name, config.target.tables, config.target.pool.max) == ("public", TablesMode.CREATE, 4)
    assert config.tables.include == ("*",)
    assert (config.backup.keep, config.backup.deadline) == (3, 3600)
    assert (config.copying.streams, config.copying.on_bad_value) == ("auto", BadValue.REJECT)
    assert config.verify.level is Level.DETAILED
    assert config.switch.steps == (1, 5, 25, 50, 100)
    assert (config.capture.keep, config.capture.budget) == (7 * 86400, 1 << 30)
    assert (config.cutover.max_freeze, config.observe.window) == (5, None)
    assert config.switch.rollback_if.error_rate == pytest.approx(0.05)
    assert not config.production


def test_values_are_read_as_the_schema_says(tmp_path: Path) -> None:
    text = (
        MINIMAL.replace("name: shop", "name: NO") + "sensitive: {012: [1:30, yes, ~x]}\ntables: {rename: {on: off}}\n"
    )
    config = load(tmp_path, text).config
    assert config.name == "NO"
    assert config.sensitive == {"012": ("1:30", "yes", "~x")}
    assert config.tables.rename == {"on": "off"}


def test_all_problems_come_at_once_with_line_and_key(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        "version: 1\nname: 'a b'\nkind: sqlite-to-postgres\nsource: {pth: x}\ntarget:\n  pool: {min: 012, timeout: 1:30}\n"
        "  tables: craete\nverify: {level: detailed, level: basic}\nbackup: {keep: 0}\n",
    )
    keys = [line.split(": ")[0] + ":" + line.split(": ")[1] for line in found]
    assert keys == [
        "2:name", "4:source.path", "4:source.pth", "6:target.pool.min", "6:target.pool.timeout", "7:target.tables",
        "8:verify.level", "9:backup.keep",
    ]  # fmt: skip
    assert all(line.endswith(")") for line in found), "every problem has a hint"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("source: {path: x, alow_stall: 3s}", "did you mean allow_stall?"),
        ("target: {dns: x}", "did you mean dsn?"),
        ("dsn: x", "did you mean target.dsn?"),
        ("sourec: {path: x}", "did you mean source?"),
        ("xyzzy: 1", "config.example.yaml shows every key"),
    ],
)
def test_unknown_keys_name_the_nearest_known_one(tmp_path: Path, text: str, hint: str) -> None:
    found = problems(tmp_path, MINIMAL + text if not text.startswith(("source:", "target:")) else text)
    assert any("unknown key" in line and hint in line for line in found), found


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("copy: {streams: 0}", "copy.streams", "1 to 64"),
        ("copy: {streams: many}", "copy.streams", "decimal digits"),
        ("copy: {chunk_bytes: 1GB2}", "copy.chunk_bytes", "64MiB"),
        ("switch: {steps: [5, 1]}", "switch.steps", "[1, 5, 25, 50, 100]"),
        ("switch: {rollback_if: {error_rate: 0.05}}", "switch.rollback_if.error_rate", "5%"),
        ("cutover: {at: soon}", "cutover.at", "HH:MM"),
        ("environment: prod", "environment", "production"),
        ("types: {dates: {a: {b: epoch}}}", "types.dates.a.b", "epoch_ms"),
        ("types: text", "types", "key: value"),
        ("tables: {include: '*'}", "tables.include", "[a, b]"),
        ("hooks: {prepair: {}}", "hooks.prepair", "prepare"),
        ("checklist: {before: [a, a]}", "checklist", "id of its own"),
        ("application: {recipe: {kind: systemd}}", "application.recipe[0]", "unit"),
        ("application: {health: [{}]}", "application.health[0]", "one of http"),
        ("version: 2", "version", "at most 1"),
    ],
)
def test_wrong_values_say_where_and_how_to_write_them(tmp_path: Path, text: str, key: str, hint: str) -> None:
    base = "".join(
        line for line in MINIMAL.splitlines(True) if not line.startswith(text.split(":", maxsplit=1)[0] + ":")
    )
    (line,) = problems(tmp_path, base + text)
    assert line.split(": ")[1] == key
    assert hint in line


def test_pool_limits_and_two_targets(tmp_path: Path) -> None:
    text = MINIMAL.replace("target: {embedded: true}", "target: {embedded: true, dsn: 'postgresql:///x'}")
    (line,) = problems(tmp_path, text)
    assert "both `dsn` and `embedded: true`" in line
    (line,) = problems(tmp_path, MINIMAL.replace("embedded: true", "pool: {min: 5, max: 2}"))
    assert "min is larger than max" in line


@pytest.mark.parametrize(("key", "value"), [("kind", "files-to-database"), ("kind", "table-to-table")])
def test_later_kinds_are_named_as_such(tmp_path: Path, key: str, value: str) -> None:
    base = "".join(line for line in MINIMAL.splitlines(True) if not line.startswith(f"{key}:"))
    (line,) = problems(tmp_path, base + f"{key}: {value}\n")
    assert f"{key}: {value} is not in this version" in line


@pytest.mark.parametrize("value", ["liev", "NO"])
def test_an_unknown_mode_is_a_wrong_value(tmp_path: Path, value: str) -> None:
    (line,) = problems(tmp_path, MINIMAL + f"mode: {value}\n")
    assert "an unknown value" in line
    assert "'copy'" in line


def test_empty_sections_mean_their_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, MINIMAL + "types:\n  # by_type: {}\ntables:\nhooks:\n").config
    assert config.types.by_type == {}
    assert config.tables.include == ("*",)


def test_variables_are_expanded_in_values(tmp_path: Path) -> None:
    text = MINIMAL.replace("{embedded: true}", "{dsn: '${URL}', schema: '${SCHEMA:-sales}', owner: '$${x}'}")
    loaded = load(tmp_path, text, {"URL": "postgresql://u:geheim@h/d", "OTHER": "x"})
    assert loaded.config.target.dsn is not None
    assert loaded.config.target.dsn.get_secret_value() == "postgresql://u:geheim@h/d"
    assert (loaded.config.target.schema_name, loaded.config.target.owner) == ("sales", "${x}")
    assert loaded.used_env == {"URL": "postgresql://u:geheim@h/d"}
    assert "geheim" not in repr(loaded) + loaded.redacted + str(loaded.plan_relevant) + repr(loaded.config.target)


@pytest.mark.parametrize(
    ("value", "env", "words"),
    [
        ("${URL}", {}, "URL isn't set"),
        ("${URL}", {"URL": ""}, "URL is empty"),
        ("${URL:-}", {}, "URL isn't set"),
        ("${}", {}, "can't be read"),
        ("${A B}", {}, "can't be read"),
        ("${URL", {}, "can't be read"),
    ],
)
def test_missing_and_empty_variables_are_errors(tmp_path: Path, value: str, env: dict[str, str], words: str) -> None:
    (line,) = problems(tmp_path, MINIMAL.replace("{embedded: true}", f"{{dsn: '{value}'}}"), env)
    assert line.startswith("5: target.dsn:")
    assert words in line


@pytest.mark.parametrize(
    "text",
    [
        "target: {dsn: 'postgresql://u:geheim@h:port/d'}",
        "target: {dsn: 'mysql://u:geheim@h/d'}",
        "target: {dsn: 'postgresql+asyncpg://u:geheim@h/d'}",
        "target: {dsn: 'password=geheim nonsense'}",
        "target: {dsn: 'postgresql://u:geheim@h/d?sslmode=maybe'}",
        "target: {dsn: [geheim]}",
        "target: {password: geheim}",
        "target: 'postgresql://u:geheim@h/d'",
        "password: geheim",
        "alerts: {channels: {geheim: 1}}",
        "hooks: {prepare: {before: [{run: x, env: {A: [geheim]}}]}}",
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, text: str) -> None:
    base = "".join(
        line for line in MINIMAL.splitlines(True) if not line.startswith(text.split(":", maxsplit=1)[0] + ":")
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, base + text)
    shown = str(caught.value).replace("alerts.channels.geheim", "")
    assert "geheim" not in shown
    cause: BaseException | None = caught.value
    while cause is not None:
        assert "geheim" not in repr(cause).replace("channels.geheim", "") or cause is caught.value
        cause = cause.__cause__


def test_the_redacted_copy_keeps_references_and_hides_literals(tmp_path: Path) -> None:
    text = MINIMAL.replace("{embedded: true}", "{dsn: 'postgresql://u:geheim@h/d'}") + (
        "alerts: {channels: ['slack://geheim', '${CHANNEL}']}\n"
        "hooks: {prepare: {before: [{run: 'x --password=geheim', env: {TOKEN: geheim}}]}}\n"
        "application: {switches: [{file: .env, set: {PW: geheim}}], health: [{http: 'http://u:geheim@h/'}]}\n"
    )
    loaded = load(tmp_path, text, {"CHANNEL": "slack://geheim2"})
    assert "geheim" not in loaded.redacted
    assert "${CHANNEL}" in loaded.redacted
    assert "postgresql://u:***@h/d" in loaded.redacted
    assert "geheim" not in repr(loaded.config.hooks) + repr(loaded.config.application) + repr(loaded.config.alerts)
    assert "geheim" not in str(loaded.plan_relevant)


def test_the_plan_hash_covers_what_decides_the_target(tmp_path: Path) -> None:
    first = load(tmp_path, MINIMAL)
    same = load(
        tmp_path, MINIMAL.replace("name: shop", "name: other") + "# words\ncopy: {streams: 2}\nbackup: {keep: 9}\n"
    )
    assert same.plan_hash == first.plan_hash
    assert same.text_hash != first.text_hash
    other = load(tmp_path, MINIMAL + "types: {by_type: {MONEY: 'numeric(19,4)'}}\ncopy: {on_bad_value: bytea}\n")
    assert other.plan_hash != first.plan_hash
    assert changed_keys(first.plan_relevant, other.plan_relevant) == ("copy.on_bad_value", "types.by_type")


def test_sides_name_source_and_target_without_credentials(tmp_path: Path) -> None:
    text = MINIMAL.replace("{embedded: true}", "{dsn: 'postgresql://u:geheim@db.example:5433/shop'}")
    assert load(tmp_path, text).sides == {"source.path": str(tmp_path / "shop.db"), "target": "db.example:5433/shop"}
    keywords = text.replace(
        "postgresql://u:geheim@db.example:5433/shop", "host=db.example port=5433 dbname=shop password=geheim"
    )
    assert load(tmp_path, keywords).sides["target"] == "db.example:5433/shop"
    assert load(tmp_path, MINIMAL).sides["target"] == "embedded"


def test_checklist_items_and_dates(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "checklist: {before: [Tell the team!, {id: vpn, title: VPN, owner: ops}, 通知团队]}\ntypes: {dates: {a: {b: cocoa}}}\n"
    )
    config = load(tmp_path, text).config
    ids = [item.id for item in config.checklist.before]
    assert ids[:2] == ["tell-the-team", "vpn"]
    assert ids[2].startswith("item-")
    assert config.types.dates == {"a": {"b": DateUnit.COCOA}}


@pytest.mark.parametrize("make", ["missing", "directory", "fifo", "unreadable", "large"])
def test_files_that_are_no_config(tmp_path: Path, make: str) -> None:
    file = tmp_path / "stepflow.yaml"
    if make == "directory":
        file.mkdir()
    elif make == "fifo":
        os.mkfifo(file)
    elif make == "large":
        file.write_bytes(b"#" * 300_000)
    elif make == "unreadable":
        file = tmp_path / "\x00.yaml"
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint
    assert (caught.value.code == "config_missing") is (make == "missing")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("requirements: {python: {minimum: abc}}", "requirements.python.minimum: not a version, got 'abc'"),
        ("requirements: {python: {minimum: '3.14', recommended: '3.9'}}", "minimum is newer than recommended"),
        ("requirements: {memory: {minimum: abc}}", "requirements.memory.minimum: not a size, got 'abc'"),
        ("requirements: {network: [foo]}", "requirements.network: not host:port"),
        ("requirements: {network: ['db.example:0']}", "requirements.network: not host:port"),
        ("application: {health: [{http: 'ftp://x'}]}", "application.health[0].http: not an address of this kind"),
        ("application: {health: [{http: 'localhost:80'}]}", "application.health[0].http: not an address of this kind"),
        ("application: {health: [{websocket: 'http://x'}]}", "application.health[0].websocket: not an address"),
        ("application: {availability: {http: 'http:///x'}}", "application.availability.http: not an address"),
        ("application: {probes: [{name: p, read: {http: 'x'}}]}", "application.probes[0].read.http: not an address"),
    ],
)
def test_requirements_and_addresses_are_refused_by_name(tmp_path: Path, lines: str, words: str) -> None:
    (line,) = problems(tmp_path, MINIMAL + lines + "\n")
    assert words in line


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("{minimum: '3.8'}", ("3.8", "3.13")),
        ("{minimum: '3.14'}", ("3.14", "3.14")),
        ("{recommended: '3.7.2'}", ("3.7.2", "3.7.2")),
        ("{recommended: '3.12'}", ("3.8", "3.12")),
        ("{minimum: '3.9', recommended: '3.10'}", ("3.9", "3.10")),
    ],
)
def test_the_half_that_is_left_out_of_a_need_is_the_documented_one(
    tmp_path: Path, written: str, found: tuple[str, str]
) -> None:
    need = load(
        tmp_path, MINIMAL + f"requirements: {{python: {written}, memory: {{minimum: 4GiB}}}}\n"
    ).config.requirements
    assert (need.python.minimum, need.python.recommended) == found
    assert (need.memory.minimum, need.memory.recommended) == (4 << 30, 4 << 30)


@pytest.mark.parametrize(
    ("kind", "mode", "words"),
    [
        ("sqlite-wal", "live", "a mode of sqlite-to-postgres, got 'live' (in-place or offline"),
        ("sqlite-wal", "copy", "a mode of sqlite-to-postgres, got 'copy' (in-place or offline"),
        ("sqlite-to-postgres", "in-place", "a mode of sqlite-wal, got 'in-place' (copy, live or offline)"),
    ],
)
def test_a_mode_of_the_other_kind_is_refused(tmp_path: Path, kind: str, mode: str, words: str) -> None:
    text = f"version: 1\nname: n\nkind: {kind}\nmode: {mode}\nsource: {{path: a.db}}\n"
    (line,) = problems(tmp_path, text)
    assert line.startswith("4: mode: ")
    assert words in line


@pytest.mark.parametrize(
    ("line", "mode"), [("", "in-place"), ("mode: in-place\n", "in-place"), ("mode: offline\n", "offline")]
)
def test_the_modes_of_a_conversion_in_place(tmp_path: Path, line: str, mode: str) -> None:
    loaded = load(tmp_path, f"version: 1\nname: n\nkind: sqlite-wal\n{line}source: {{path: a.db}}\n")
    assert loaded.config.mode.value == mode
