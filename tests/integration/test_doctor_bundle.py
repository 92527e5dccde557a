"""The support bundle: everything full of a secret, and not one byte of it in the file."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade import bundle
from stepflow_tui.engine.facade.bundle import support_bundle
from stepflow_tui.engine.facade.doctor import doctor
from stepflow_tui.engine.facade.secrets import secrets_of
from stepflow_tui.engine.journal.rundir import ENGINE_LOG
from stepflow_tui.engine.model.redact import redactor
from tests.monitor_kit import make_shop, stepflow
from tests.run_kit import bench, book, write_config

CANARY = "Kanarie/vogel+7%geel"
ROW = "Marguerite Perey"
"""A value of a row."""
PLAIN = "zeer-geheim-99"
"""A secret that nothing but its name tells."""

FORMS = {CANARY, quote(CANARY, safe=""), quote(CANARY), json.dumps(CANARY)[1:-1]}

LOG = f"""
2026-01-01 engine: connecting to postgresql://ann:{quote(CANARY, safe="")}@db/shop
Traceback (most recent call last):
  File "/opt/stepflow/engine.py", line 7, in connect
ValueError: invalid literal for int() with base 10: '{ROW}'
DB_PASSWORD={PLAIN} SHOP_TOKEN={PLAIN} "password": "{PLAIN}" Authorization: Bearer {PLAIN}
the words of the server: {CANARY}
"""


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A config, an environment, an application's file, a journal and a log that are full of it; the state directory."""
    monkeypatch.setenv("CANARY", CANARY)
    monkeypatch.setenv("PGPASSWORD", PLAIN)
    make_shop(tmp_path / "shop.db")
    (tmp_path / ".env").write_text(f"APP_SECRET='{CANARY}'\n")
    (tmp_path / "app.log").write_text(f"ERROR {CANARY} {ROW}\n")
    sections: dict[str, Any] = {
        "target": {"dsn": f"postgresql://ann:{quote(CANARY, safe='')}@127.0.0.1:1/shop?connect_timeout=2"},
        "alerts": {"channels": ["json://u:${CANARY}@h/"]},
        "monitor": {"logs": [{"file": "./app.log", "patterns": ["ERROR"]}]},
        "application": {
            "env": {"file": "./.env"},
            "health": [{"http": "http://u:${CANARY}@127.0.0.1:1/?token=${CANARY}"}],
        },
    }
    async with bench(tmp_path, book()) as made:
        journal, run_dir = made.journal, made.ctx.run_dir
        await journal.event("note", {"who": "ann", "text": f"{CANARY} {ROW}"})
        await journal.event("error", {"code": "x", "message": f"{CANARY}: '{ROW}'", "detail": ROW, "hint": ""})
        await journal.event("reject", {"table": "orders", "key": {"name": ROW}, "value": ROW, "rows": 3})
    (run_dir / ENGINE_LOG).write_text(LOG * 200)
    write_config(tmp_path, **{key: json.dumps(value) for key, value in sections.items()})
    return tmp_path / "state"


def read(file: Path) -> dict[str, str]:
    with tarfile.open(file) as tar:
        members = {m.name.removeprefix("stepflow-support/"): tar.extractfile(m) for m in tar.getmembers()}
        return {name: data.read().decode() for name, data in members.items() if data is not None}


async def made(state: Path, file: Path) -> dict[str, str]:
    loaded = load_config(state.parent / "stepflow.yaml", dict(os.environ))
    await support_bundle(state, file, await doctor(state, loaded), loaded)
    return read(file)


def found_in(file: Path) -> set[str]:
    data = gzip.decompress(file.read_bytes()).decode("utf-8", "replace")
    return {secret for secret in (*FORMS, ROW, PLAIN) if secret in data}


async def test_no_byte_of_a_secret_or_a_row_is_in_it(scene: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    members = await made(scene, file)
    assert found_in(file) == set()
    assert set(members) == {
        "config.yaml", "doctor.json", "versions.json",
        *(f"run/{name}" for name in ("report.json", "status.json", "events.json", "engine.log")),
    }  # fmt: skip
    assert file.stat().st_mode & 0o777 == 0o600


async def test_it_still_tells_what_happened(scene: Path, tmp_path: Path) -> None:
    members = await made(scene, tmp_path / "bundle.tar.gz")
    assert {"postgres_refused", "unhealthy"} <= {p["code"] for p in json.loads(members["doctor.json"])["problems"]}
    log = members["run/engine.log"].splitlines()
    assert len(log) == 500
    assert '  File "/opt/stepflow/engine.py", line 7, in connect' in log
    events = {e["code"]: e["data"] for e in json.loads(members["run/events.json"])}
    assert events["reject"] == {"table": "orders", "rows": 3}
    assert json.loads(members["run/report.json"])["name"] == "shop"
    assert "error" not in json.loads(members["run/status.json"])
    assert "${CANARY}" in members["config.yaml"] or "***" in members["config.yaml"]


@pytest.fixture(params=["secrets", "names", "quotes", "figures", "lines"])
def without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """One protection taken out."""
    if request.param == "secrets":
        monkeypatch.setattr(bundle, "secrets_of", lambda _loaded: set())
    elif request.param == "names":
        monkeypatch.setattr(bundle, "sieve", redactor)
        monkeypatch.setattr(bundle, "secret_name", lambda _name: False)
    elif request.param == "quotes":
        monkeypatch.setattr(bundle, "_unquoted", lambda line: line)
    elif request.param == "lines":
        monkeypatch.setattr(bundle, "_OF_LOGS", ())
    else:
        monkeypatch.setattr(bundle, "_figures", lambda value, _key="": value)
    return str(request.param)


async def test_each_protection_is_needed(
    without: str, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control."""
    if without == "names":
        monkeypatch.delenv("PGPASSWORD", raising=False)
    file = tmp_path / "bundle.tar.gz"
    await made(scene, file)
    assert found_in(file) != set()


async def test_the_secrets_of_the_newest_run_are_known_without_a_config(scene: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    result = await support_bundle(scene, file, await doctor(scene))
    assert found_in(file) == set()
    assert (scene / "runs" / result["run"]).is_dir()


async def test_nothing_is_overwritten_and_nothing_half_is_left(scene: Path, tmp_path: Path) -> None:
    file = tmp_path / "bundle.tar.gz"
    (tmp_path / "elsewhere").write_text("mine")
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError) as refused:
        await made(scene, file)
    assert refused.value.code == "bundle_exists"
    assert (tmp_path / "elsewhere").read_text() == "mine"
    with pytest.raises(UsageError):
        await made(scene, tmp_path / "no" / "folder.tar.gz")


def test_secrets_have_every_form(scene: Path) -> None:
    loaded = load_config(scene.parent / "stepflow.yaml", dict(os.environ))
    assert FORMS | {PLAIN} <= secrets_of(loaded)
    assert str(scene) not in secrets_of(loaded, {"OLDPWD": str(scene)})


def test_the_command(tmp_path: Path) -> None:
    make_shop(tmp_path / "shop.db")
    file = tmp_path / "b.tar.gz"
    done = stepflow("doctor", "--bundle", str(file), state=tmp_path / "state")
    assert (done.returncode, str(file) in done.stdout) == (0, True)
    assert set(read(file)) == {"doctor.json", "versions.json"}
    again = stepflow("doctor", "--bundle", str(file), "--json", state=tmp_path / "state")
    assert (again.returncode, json.loads(again.stdout)["error"]["code"]) == (2, "bundle_exists")
