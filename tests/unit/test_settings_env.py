"""Rules for the file of environment variables, and the two checks about settings: names are told, never values."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stepflow_tui.engine.application.env_file import EnvProblems, differences, problems
from stepflow_tui.engine.checks import application_env, application_switches
from stepflow_tui.engine.checks.checklist import ChecklistFacts, decide_all
from stepflow_tui.engine.checks.config_unused import unused
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.config_application import EnvFile
from stepflow_tui.engine.model.finding import Finding, Severity, info
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.texts import render

STRONG = "u8Jq2vXw5Zr7Tb4Nk9Lm3Pc6Fd1Hs0Gy"
BASE: dict[str, Any] = {
    "name": "shop",
    "kind": "sqlite-to-postgres",
    "source": {"path": "/data/shop.db"},
    "mode": "live",
}


def rules(**more: Any) -> EnvFile:
    return EnvFile.model_validate({"file": "/x/.env", **more})


def context(tmp_path: Path, application: dict[str, Any], **more: Any) -> Any:
    return SimpleNamespace(config=Config.model_validate({**BASE, "application": application, **more}))


def told(findings: list[Finding]) -> dict[str, tuple[Severity, Any]]:
    """By code; every finding has its words."""
    for finding in findings:
        words = render(finding)
        assert not any("{" in text for text in (words.what, words.why, words.fix)), finding.code
    return {f.code: (f.severity, f.params.get("names", "")) for f in findings}


@pytest.mark.parametrize(
    "value",
    ["changeme", "CHANGE_ME", "change-this", "xxx", "XXXXXXXX", "<your key>", "your-secret-here", "https://example.com/x",
     "todo", "TO" + "DO: fill in", "tbd", "replace_me", "placeholder", "", "  "],
)  # fmt: skip
def test_placeholders_are_found(value: str) -> None:
    assert problems(f"A='{value}'\n", rules(required=["A"])).placeholders == ("A",)


@pytest.mark.parametrize("value", ["postgresql://h/changelog", "maxxx1", "yours", "/srv/examples/x", "methods", STRONG])
def test_ordinary_values_are_no_placeholders(value: str) -> None:
    assert problems(f"A={value}\n", rules(required=["A"])).placeholders == ()


def test_required_keys_and_demanded_values() -> None:
    found = problems(
        "A=1\nDEBUG=True\nX_1=\n", rules(required=["A", "B", "X_*", "Y_*"], demand={"DEBUG": "false", "LOG": "info"})
    )
    assert (found.missing, found.not_demanded) == (("B", "LOG", "Y_*"), ("DEBUG",))
    assert found.placeholders == ("X_1",)
    assert problems("A=\nB=1\nB=2\n", rules()) == EnvProblems(empty=("A",), twice=("B",), checked=2)


@pytest.mark.parametrize(
    ("name", "value", "short", "weak"),
    [
        ("X_KEY", "a1b2c3d4e5", True, False),  # by pattern
        ("X_KEY", STRONG, False, False),
        ("SESSION_SECRET", STRONG[:31], True, False),  # by name
        ("DB_PASSWORD", "k3Vw9-qLx2Zt", False, False),
        ("DB_PASSWORD", "k3Vw9", True, False),
        ("DB_PASSWORD", "P@ssw0rd123", True, True),
        ("APP_SECRET", "supersecret" + "1" * 40, False, True),
        ("APP_SECRET", "aaaaaaaaaabbbbbbbbbbaaaaaaaaaabbbbbbbbbb", False, True),
        ("SECRET_KEY", "django-insecure-" + STRONG, False, True),
        ("DATABASE_URL", "postgresql://postgres:postgres@localhost/x", False, True),
        ("DATABASE_URL", f"postgresql://postgres:{STRONG}@localhost/x", False, False),
        ("STRIPE_API_KEY", "ak_9", False, False),  # given by others: no rule without `secrets`
        ("PASSWORD_MIN_LENGTH", "8", False, False),
        ("TOKEN_TTL", "60", False, False),
        ("PORT", "1111", False, False),
    ],
)
def test_secrets_are_long_and_not_guessed(name: str, value: str, short: bool, weak: bool) -> None:
    found = problems(f'{name}="{value}"\n', rules(secrets=["X_*"]))
    assert (bool(found.short), bool(found.weak)) == (short, weak)


def test_two_files_are_compared_by_name() -> None:
    found = differences("A=1\nB=2\nC=3\n", "A=1\nB=9\nD=4\n")
    assert (found.only_here, found.only_there, found.different) == (("C",), ("D",), ("B",))


BROKEN = "SECRET_KEY=changeme\nAPI_KEY=k3Vw9qLx2Z\nDB_PASSWORD=letmein\nDEBUG=sesame\nA=1\nA=2\n"
RULES = {"required": ["MISSING"], "secrets": ["*_KEY"], "demand": {"DEBUG": "false"}}
GRAVE = {"env_missing": "MISSING", "env_placeholder": "SECRET_KEY", "env_short": "API_KEY", "env_weak": "DB_PASSWORD",
         "env_not_demanded": "DEBUG"}  # fmt: skip


@pytest.mark.parametrize(
    ("environment", "severity"), [("production", Severity.BLOCKING), ("staging", Severity.WARNING)]
)
async def test_broken_rules_block_in_production(tmp_path: Path, environment: str, severity: Severity) -> None:
    file = tmp_path / ".env"
    file.write_text(BROKEN)
    findings = await application_env.run(context(tmp_path, {"env": {"file": file, **RULES}}, environment=environment))
    found = told(findings)
    assert {c: found[c] for c in GRAVE} == {c: (severity, names) for c, names in GRAVE.items()}
    assert found["env_twice"] == (Severity.WARNING, "A")
    assert not any(word in str(findings) for word in ("changeme", "k3Vw9qLx2Z", "letmein", "sesame"))
    decided = decide_all(ChecklistFacts(checked=True, findings=tuple(findings)))
    assert decided["env-complete"].state is ItemState.FAILED


async def test_the_file_is_judged_as_it_will_be_after_the_switch(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("DATABASE_URL=changeme\nDB_PASSWORD=k3Vw9qLx\n")
    env = {"file": file, "required": ["DATABASE_URL", "NEW"], "secrets": ["*_PASSWORD"]}
    wanted = {"DATABASE_URL": "{target_dsn}", "DB_PASSWORD": "{target_password}", "NEW": "1"}
    application = {"env": env, "switches": [{"file": file, "set": wanted}, {"file": "/missing", "set": {"A": "1"}}]}
    findings = await application_env.run(context(tmp_path, application))
    assert told(findings) == {"env_checked": (Severity.INFO, "")}
    decided = decide_all(ChecklistFacts(checked=True, findings=tuple(findings)))
    assert decided["env-complete"].state is ItemState.TICKED
    copied = told(await application_env.run(context(tmp_path, application, mode="copy")))
    assert {"env_missing", "env_placeholder", "env_short"} <= set(copied), "a copy switches nothing"


async def test_differences_and_rebuilds_are_told_without_values(tmp_path: Path) -> None:
    here, there = tmp_path / ".env", tmp_path / ".env.development"
    here.write_text("PUBLIC_A=hidden1\nPUBLIC_B=2\nONLY=3\nPORT=hidden2\n")
    there.write_text("PUBLIC_A=hidden3\nPUBLIC_B=2\nTHERE=hidden4\nPORT=4\n")
    application: dict[str, Any] = {
        "env": {"file": here, "compare": there, "rebuild": ["PUBLIC_*"]},
        "switches": [{"file": here, "set": {"PUBLIC_B": "hidden5"}}],
    }
    findings = await application_env.run(context(tmp_path, application))
    found = told(findings)
    assert found["env_only_there"] == (Severity.WARNING, "THERE")
    assert found["env_rebuild_missing"] == (Severity.WARNING, "PUBLIC_A, PUBLIC_B")
    [differ] = [f for f in findings if f.code == "env_differences"]
    assert (differ.params["here"], differ.params["different"]) == ("ONLY", "PORT, PUBLIC_A, PUBLIC_B")
    assert "hidden" not in str(findings)
    application["recipe"] = {"kind": "command", "command": "./serve", "build": "make"}
    assert "env_rebuild" in told(await application_env.run(context(tmp_path, application)))


async def test_files_that_can_not_be_read_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\xff\xfe")
    found = await application_env.run(context(tmp_path, {"env": {"file": tmp_path / "gone"}}, environment="production"))
    assert told(found) == {"env_not_readable": (Severity.BLOCKING, "")}
    (tmp_path / ".env").write_text("A=1\n")
    found = await application_env.run(context(tmp_path, {"env": {"file": tmp_path / ".env", "compare": other}}))
    assert told(found)["env_not_readable"] == (Severity.WARNING, "")
    assert await application_env.run(context(tmp_path, {})) == []


def test_at_the_end_the_file_that_stands_is_judged(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    config = context(tmp_path, {"env": {"file": file, "demand": {"DEBUG": "false"}}}).config
    file.write_text("DEBUG=false\n")
    assert application_env.in_force(config) == (True, "1 variables keep the rules")
    file.write_text("DEBUG=sesame\n")
    assert application_env.in_force(config) == (False, "against the rules: DEBUG")
    file.unlink()
    assert application_env.in_force(config) == (False, ".env can't be read")
    assert application_env.in_force(context(tmp_path, {}).config) is None


async def test_every_switch_that_would_fail_is_found_before_anything_happens(tmp_path: Path) -> None:
    env, prisma, locked = tmp_path / ".env", tmp_path / "schema.prisma", tmp_path / "locked.yaml"
    env.write_text("A=1\nA=2\nB=1\n")
    prisma.write_text('provider = "sqlite"\n' * 2)
    locked.write_text("a: 1\n")
    locked.chmod(0o444)
    switches = [
        {"file": env, "set": {"A": "x", "B": "sesame"}},
        {"file": prisma, "pattern": 'provider = "(?P<value>sqlite)"', "to": "postgresql"},
        {"file": locked, "set": {"a": "2"}},
        {"file": tmp_path / "gone.ini", "set": {"a.b": "{target_dsn}"}},
    ]
    findings = await application_switches.run(context(tmp_path, {"switches": switches}))
    assert set(told(findings)) == {"application_switch"}
    assert {f.object: f.severity for f in findings} == dict.fromkeys(
        ("setting_twice", "setting_pattern_twice", "setting_read_only", "setting_file_missing"), Severity.BLOCKING
    )
    assert "sesame" not in str(findings)
    assert await application_switches.run(context(tmp_path, {"switches": switches}, mode="copy")) == []


async def test_switches_that_work_are_listed(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("A=1\nB=1\n")
    [found] = await application_switches.run(
        context(tmp_path, {"switches": [{"file": env, "set": {"B": "2", "C": "3"}}]})
    )
    assert told([found]) == {"application_switches": (Severity.INFO, "B (line 2), C (line 3)")}
    clash = [{"file": env, "set": {"B": "2"}}, {"file": env, "set": {"B": "3"}}]
    [found] = await application_switches.run(context(tmp_path, {"switches": clash}))
    assert (found.code, found.object) == ("application_switch", "setting_wanted_twice")


async def test_a_file_that_comes_with_a_release_is_looked_at_there(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "flags.py").write_text("USE_DATABASE = False\n")
    application = {
        "switches": [{"file": tmp_path / "site" / "flags.py", "set": {"USE_DATABASE": "true"}}],
        "recipe": {"kind": "directory", "directory": tmp_path / "site", "release": tmp_path / "new"},
    }
    [found] = await application_switches.run(context(tmp_path, application))
    assert told([found]) == {"application_switches": (Severity.INFO, "USE_DATABASE (line 1)")}


def test_only_a_copy_leaves_switches_and_recipes_out() -> None:
    application = {
        "switches": [{"file": ".env", "set": {"A": "1"}}], "recipe": {"kind": "systemd", "unit": "x"},
        "health": [{"tcp": "h:1"}], "env": {"file": ".env"}, "availability": {"http": "http://127.0.0.1/"},
    }  # fmt: skip
    named = {
        m: unused(Config.model_validate({**BASE, "mode": m, "application": application}))
        for m in ("copy", "live", "offline")
    }
    assert named == {"copy": ["application.switches", "application.recipe"], "live": [], "offline": []}


def test_without_rules_the_item_is_a_persons() -> None:
    assert "env-complete" not in decide_all(ChecklistFacts(checked=True, findings=(info("library_versions"),)))
