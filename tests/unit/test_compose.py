"""Config files that are written load, whatever was chosen, and never hold a password."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.compose import (
    COMMENTS,
    config_text,
    free_path,
    holds_password,
    manual_items,
    save_config,
    split_password,
    suggested_name,
    with_password,
)
from stepflow_tui.engine.model.config import BadValue, Level, Mode
from stepflow_tui.engine.model.draft import CHOICES, FILES, MODES, RECIPES, ApplicationDraft, Draft
from stepflow_tui.engine.texts import language
from stepflow_tui.engine.texts.advice import BUILT

DSN = "postgresql://u:p@h/d"
ENV = {"DATABASE_URL": DSN}


def loaded(tmp_path: Path, draft: Draft, env: dict[str, str] | None = None) -> Any:
    path = tmp_path / "stepflow.yaml"
    path.unlink(missing_ok=True)
    save_config(path, config_text(draft, path))
    return load_config(path, ENV if env is None else env).config


def test_the_choices_are_those_of_the_config() -> None:
    assert set().union(*MODES.values()) == {mode.value for mode in Mode}
    assert MODES["sqlite-to-postgres"] == CHOICES["mode"]
    assert set(MODES) == set(BUILT)
    assert CHOICES["level"] == tuple(level.value for level in Level)
    assert CHOICES["on_bad_value"] == tuple(v.value for v in BadValue)


@pytest.mark.parametrize(
    ("target", "environment", "level", "bad"),
    itertools.product(
        (
            "embedded",
            "environment",
            "${DATABASE_URL}",
            "postgresql://anna@db.example.com:5432/shop?sslmode=verify-full",
        ),
        ("staging", "production"),
        CHOICES["level"],
        CHOICES["on_bad_value"],
    ),
)
def test_every_combination_loads_as_it_was_chosen(
    tmp_path: Path, target: str, environment: str, level: str, bad: str
) -> None:
    draft = Draft(
        source="/data/shop.db",
        target=target,
        name="s-1",
        environment=environment,
        schema="app",
        level=level,
        on_bad_value=bad,
        backup_dir="/backups",
        owners={"teams-told": "Anna", "users-work": 'Bob "B": x'},
    )
    config = loaded(tmp_path, draft)
    assert (config.name, config.environment, config.target.schema_name) == ("s-1", environment, "app")
    assert (config.verify.level.value, config.copying.on_bad_value.value) == (level, bad)
    assert config.target.embedded is (target == "embedded")
    dsn = config.target.dsn.get_secret_value() if config.target.dsn else None
    assert dsn == {"embedded": None, "environment": None, "${DATABASE_URL}": DSN}.get(target, target)
    assert config.backup.dir == Path("/backups")
    assert [(i.id, i.owner) for i in config.checklist.before] == [("teams-told", "Anna")]
    assert [(i.id, i.owner) for i in config.checklist.after] == [("users-work", 'Bob "B": x')]


def test_the_defaults_are_those_of_a_config_that_says_nothing(tmp_path: Path) -> None:
    config = loaded(tmp_path, Draft(source="shop.db", target="embedded"))
    bare = tmp_path / "bare.yaml"
    bare.write_text("name: shop\nkind: sqlite-to-postgres\nsource: {path: shop.db}\ntarget: {embedded: true}\n")
    plain = load_config(bare, {}).config
    assert config.model_copy(update={"source": plain.source}) == plain


@pytest.mark.parametrize("item", [item for _when, item in manual_items()])
def test_any_item_of_a_person_may_have_an_owner(tmp_path: Path, item: str) -> None:
    config = loaded(tmp_path, Draft(source="x.db", target="embedded", owners={item: "Zoë"}))
    when = {i: w for w, i in manual_items()}[item]
    assert [(i.id, i.owner) for i in getattr(config.checklist, when)] == [(item, "Zoë")]


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(lambda t: "\x00" not in t)
)
def test_any_file_name_and_any_owner_survive(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "names"
    folder.mkdir(exist_ok=True)
    source = f"/data/{name.replace('/', '')}x.db"
    config = loaded(folder, Draft(source=source, target="embedded", owners={"teams-told": name}))
    assert config.source.path == Path(source)
    assert config.checklist.before[0].owner == name


def test_relative_paths_are_written_relative_to_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    path = tmp_path / "conf" / "c.yaml"
    save_config(path, config_text(Draft(source="data/x.db", target="embedded", backup_dir="bk"), Path("conf/c.yaml")))
    config = load_config(path, {}).config
    assert config.source.path.resolve() == tmp_path / "data" / "x.db"
    assert config.backup.dir is not None
    assert config.backup.dir.resolve() == tmp_path / "bk"


@pytest.mark.parametrize(
    "target",
    [
        "postgresql://u:geheim@h/d",
        "postgresql://u:ge/heim@h/d",
        "postgresql://u:ge@heim@h/d",
        "postgres://:geheim@h/d",
        "host=h password=geheim",
        "host=h PASSWORD = 'geheim'",
        "postgresql://h/d?password=geheim",
        "${DATABASE_URL:-postgresql://u:geheim@h/d}",
    ],
)
def test_a_password_is_never_written(tmp_path: Path, target: str) -> None:
    assert holds_password(target)
    with pytest.raises(UsageError) as caught:
        config_text(Draft(source="x.db", target=target), tmp_path / "c.yaml")
    assert caught.value.code == "password_in_argument"
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    "target", ["${DATABASE_URL}", "postgresql://u@h:5432/d", "postgresql://u:${PGPASSWORD}@h/d", "postgresql://h:5432/d",
               "host=h dbname=d", "embedded", "environment", "postgresql:///d?host=/run/pg"],
)  # fmt: skip
def test_what_holds_no_password_is_taken(target: str) -> None:
    assert not holds_password(target)


@pytest.mark.parametrize("mode", CHOICES["mode"])
def test_every_mode_loads_and_all_are_explained(tmp_path: Path, mode: str) -> None:
    draft = Draft(source="x.db", target="embedded", mode=mode)
    assert loaded(tmp_path, draft).mode.value == mode
    text = (tmp_path / "stepflow.yaml").read_text()
    assert all(f"# {each}: " in text for each in CHOICES["mode"])


@pytest.mark.parametrize("mode", MODES["sqlite-wal"])
def test_a_database_that_stays_has_no_target_and_says_what_it_is(tmp_path: Path, mode: str) -> None:
    draft = Draft(
        kind="sqlite-wal", source="x.db", mode=mode, window="1h", page_size="8192", max_wait="2m", observe="90s"
    )
    config = loaded(tmp_path, draft, env={})
    text = (tmp_path / "stepflow.yaml").read_text()
    assert (config.kind.value, config.mode.value) == ("sqlite-wal", mode)
    assert (config.wal.page_size, config.wal.max_wait, config.observe.window) == (8192, 120.0, 90.0)
    assert config.cutover.window == (3600 if mode == "offline" else 1800)
    for foreign in ("target", "verify:", "copy:", "types:", "DATABASE_URL", "looks at both sides", "PostgreSQL"):
        assert foreign not in text.replace(str(tmp_path), "")


@pytest.mark.parametrize("item", [item for _when, item in manual_items("sqlite-wal")])
def test_any_item_of_a_conversion_may_have_an_owner_and_no_other(tmp_path: Path, item: str) -> None:
    config = loaded(tmp_path, Draft(kind="sqlite-wal", source="x.db", mode="in-place", owners={item: "Zoë"}), env={})
    assert [i.owner for when in ("before", "during", "after") for i in getattr(config.checklist, when)] == (
        ["Zoë"] if not dict(map(reversed, manual_items("sqlite-wal")))[item].startswith("rollback") else []
    )


def test_what_is_not_answered_of_a_conversion_is_what_a_config_that_says_nothing_means(tmp_path: Path) -> None:
    config = loaded(tmp_path, Draft(kind="sqlite-wal", source="shop.db", mode="in-place"), env={})
    bare = tmp_path / "bare.yaml"
    bare.write_text("name: shop\nkind: sqlite-wal\nsource: {path: shop.db}\n")
    plain = load_config(bare, {}).config
    assert config.model_copy(update={"source": plain.source}) == plain


@pytest.mark.parametrize(("kind", "mode"), [(k, m) for k, modes in MODES.items() for m in modes])
def test_the_application_s_section_stands_there_as_comments_that_load(tmp_path: Path, kind: str, mode: str) -> None:
    path = tmp_path / "stepflow.yaml"
    text = config_text(Draft(kind=kind, source="x.db", target="embedded", mode=mode), path)
    if mode == "copy":
        assert "# application:" not in text
        return
    lines = text.splitlines()
    begins = next(n for n, line in enumerate(lines) if line.startswith("# application:"))
    assert all(line.startswith("#") for line in lines[begins:])
    path.write_text(
        "\n".join([*lines[:begins], *(line.removeprefix("# ").removeprefix("#") for line in lines[begins:])])
    )
    application = load_config(path, ENV).config.application
    assert application.recipe
    assert application.health
    assert application.availability
    assert bool(application.switches) is (kind == "sqlite-to-postgres")
    assert (application.python is not None) is (kind == "sqlite-wal")


def test_every_comment_of_a_conversion_is_one_that_loads(tmp_path: Path) -> None:
    """What is commented out means what stands there: uncommented, it is taken."""
    path = tmp_path / "stepflow.yaml"
    text = config_text(Draft(kind="sqlite-wal", source="x.db", mode="in-place"), path)
    keys = (
        "page_size",
        "pragmas",
        "probe",
        "max_bytes",
        "backup:",
        "benchmark:",
        "  writers",
        "  readers",
        "  rounds",
        "  limits",
        "observe:",
    )
    commented = tuple(f"# {key}" for key in keys)
    lines = [line.replace("# ", "", 1) if line.strip().startswith(commented) else line for line in text.splitlines()]
    path.write_text("\n".join(lines))
    config = load_config(path, {}).config
    assert (config.wal.page_size, config.wal.probe, config.observe.window) == (8192, "./probe.sh", 3600.0)
    assert (config.benchmark.limits.p95, config.backup.dir) == (0.005, tmp_path / "backups")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mode": "copy"}, "unknown_choice"), ({"mode": "live"}, "unknown_choice"), ({"max_wait": "soon"}, "bad_wait"),
        ({"max_wait": "0s"}, "bad_wait"), ({"page_size": "5000"}, "page_size"), ({"page_size": "big"}, "page_size"),
        ({"observe": "for ever"}, "bad_observation"), ({"mode": "offline", "window": "x"}, "bad_window"),
    ],
)  # fmt: skip
def test_what_is_refused_of_a_conversion(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    draft = Draft(**{"kind": "sqlite-wal", "source": "x.db", "mode": "in-place", **change})
    with pytest.raises(UsageError) as caught:
        config_text(draft, tmp_path / "c.yaml")
    assert caught.value.code == code


def test_a_window_is_written_where_there_is_one(tmp_path: Path) -> None:
    draft = Draft(source="x.db", target="embedded", mode="offline", window="2h")
    assert loaded(tmp_path, draft).cutover.window == 7200
    assert "  window:" not in config_text(Draft(source="x.db", target="embedded"), tmp_path / "c.yaml")


FIELDS = {
    "unit": "shop.service", "file": "my compose.yaml", "service": "web", "container": "shop", "deployment": "shop",
    "namespace": "null", "directory": "app dir", "revision": "v2.0", "image": "r.example.com/shop:2@x", "release": "app-2",
    "command": "./serve.sh --name '${USER}: #1'", "pid_file": "shop.pid",
}  # fmt: skip


@pytest.mark.parametrize("kind", RECIPES)
def test_each_recipe_loads_as_it_was_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    fields = {key: FIELDS[key] for key in RECIPES[kind]}
    draft = Draft(source="x.db", target="embedded", application=ApplicationDraft(recipe=kind, fields=fields))
    (recipe,) = loaded(tmp_path, draft).application.recipe
    assert recipe.kind.value == kind
    for key, value in fields.items():
        assert str(getattr(recipe, key)) == (str(tmp_path / value) if key in FILES else value)


def test_settings_and_addresses_load_as_they_were_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = (("DATABASE_URL", "{target_dsn}"), ("a.b c", "${DATABASE_URL}"), ("USE", 'no: "really" # yes'))
    health, every = "http://127.0.0.1:8000/health?x={y}", "http://u:${DATABASE_URL}@127.0.0.1/"
    told = ApplicationDraft(settings_file=".env", settings=settings, health=health, availability=every)
    application = loaded(tmp_path, Draft(source="x.db", target="embedded", application=told)).application
    (switch,) = application.switches
    assert switch.file == tmp_path / ".env"
    assert {key: value.get_secret_value() for key, value in switch.assignments.items()} == {
        **dict(settings),
        "a.b c": DSN,
    }
    assert application.health[0].http == health
    assert application.availability.http == f"http://u:{DSN}@127.0.0.1/"


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"recipe": "launchd"}, "unknown_recipe"),
        ({"recipe": "systemd"}, "recipe_key"),
        ({"recipe": "compose", "fields": {"service": "web"}}, "recipe_key"),
        ({"settings": (("A", "b"),)}, "settings_file"),
        ({"settings_file": ".env"}, "settings_missing"),
        ({"settings_file": ".env", "settings": (("", "b"),)}, "setting_name"),
        ({"settings_file": ".env", "settings": (("URL", "postgresql://u:canary@h/d"),)}, "secret_in_setting"),
        ({"settings_file": ".env", "settings": (("DSN", "host=h password=canary"),)}, "secret_in_setting"),
        ({"settings_file": ".env", "settings": (("SECRET_KEY", "canary"),)}, "secret_in_setting"),
        ({"health": "127.0.0.1:8000"}, "bad_address"),
        ({"availability": "ftp://h/"}, "bad_address"),
        ({"health": "http://u:canary@h/"}, "secret_in_address"),
    ],
)
def test_what_is_refused_of_an_application(tmp_path: Path, told: dict[str, Any], code: str) -> None:
    draft = Draft(source="x.db", target="embedded", application=ApplicationDraft(**told))
    with pytest.raises(UsageError) as caught:
        config_text(draft, tmp_path / "c.yaml")
    assert caught.value.code == code
    assert caught.value.hint
    assert "canary" not in f"{caught.value} {draft!r}"


@pytest.mark.parametrize("value", ["{target_password}", "${SECRET}", "${A:-x}"])
def test_a_secret_by_reference_is_taken(tmp_path: Path, value: str) -> None:
    told = ApplicationDraft(settings_file=".env", settings=(("DB_PASSWORD", value),))
    text = config_text(Draft(source="x.db", target="embedded", application=told), tmp_path / "c.yaml")
    assert value in text


@given(password=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
def test_a_password_put_in_comes_out_again(password: str) -> None:
    for address in ("postgresql://anna@db:5432/shop?sslmode=require", "postgresql://db/shop"):
        whole = with_password(address, password)
        assert holds_password(whole)
        assert split_password(whole) == (address, quote(password, safe=""))
        assert split_password(address) == (address, "")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"kind": "mysql"}, "unknown_kind"),
        ({"kind": "files-to-database"}, "not_in_this_version"),
        ({"kind": "table-to-table"}, "not_in_this_version"),
        ({"mode": "in-place"}, "unknown_choice"),
        ({"name": "-x"}, "bad_name"),
        ({"name": "x" * 64}, "bad_name"),
        ({"environment": "a b"}, "bad_name"),
        ({"level": "deep"}, "unknown_choice"),
        ({"mode": "nightly"}, "unknown_choice"),
        ({"mode": "offline", "window": "soon"}, "bad_window"),
        ({"mode": "offline", "window": "0s"}, "bad_window"),
        ({"mode": "live", "level": "standard"}, "level_too_low"),
        ({"on_bad_value": "drop"}, "unknown_choice"),
        ({"owners": {"no-such-item": "x"}}, "unknown_item"),
        ({"source": ""}, "no_source"),
        ({"source": "\udcff.db"}, "source_name"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: dict[str, Any], code: str) -> None:
    draft = Draft(**({"source": "x.db", "target": "embedded"} | change))
    with pytest.raises(UsageError) as caught:
        config_text(draft, tmp_path / "c.yaml")
    assert caught.value.code == code
    assert caught.value.hint


def test_a_file_is_never_overwritten_and_the_next_free_name_is_offered(tmp_path: Path) -> None:
    path = tmp_path / "stepflow.yaml"
    path.write_text("mine")
    (tmp_path / "stepflow-2.yaml").symlink_to("nowhere")
    with pytest.raises(UsageError) as caught:
        save_config(path, "other")
    assert path.read_text() == "mine"
    assert free_path(path).name == "stepflow-3.yaml"
    assert "stepflow-3.yaml" in caught.value.hint
    assert free_path(tmp_path / "new.yaml").name == "new.yaml"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    save_config(path, "x")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("source", "name"),
    [("data/my shop.db", "my-shop"), ("数据.db", "sqlite-to-postgres"), (".x", "x"), ("a/b.c.db", "b.c")],
)
def test_names_made_from_files(source: str, name: str) -> None:
    assert suggested_name(source) == name


def test_comments_stand_in_the_language_in_use_and_do_not_change_what_is_read(tmp_path: Path) -> None:
    draft = Draft(source="/data/x.db", target="embedded", backup_dir="/b", owners={"teams-told": "x"})
    english = loaded(tmp_path, draft)
    language.use("zh")
    try:
        assert config_text(draft, tmp_path / "c.yaml").splitlines()[0].startswith("# ")
        assert loaded(tmp_path, draft) == english
    finally:
        language.use("en")
    assert all(COMMENTS.values())
