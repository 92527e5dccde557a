"""The application's side looked at from outside: a real config, a real settings file, a real process, and no value shown."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.facade.application import application_health, application_plan, application_trial
from stepflow_tui.render.application_plan import plan_lines

CONFIG = """version: 1
name: shop
kind: sqlite-to-postgres
source: {path: ./shop.db}
target: {dsn: "postgresql://shop:canary-of-target@db.example/shop"}
"""
APPLICATION = """application:
  switches:
    - file: .env
      set: {DATABASE_URL: "{target_dsn}", SECRET_KEY: canary-of-config}
  recipe:
    kind: command
    command: ./serve.sh --token canary-of-command
    pid_file: ./shop.pid
    env: {API_TOKEN: canary-of-recipe}
  health:
    - {http: "http://u:canary-of-url@127.0.0.1:9/health?token=canary-of-query", timeout: 1s}
  availability: {http: "http://127.0.0.1:9/?token=canary-of-query"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sqlite3.connect(tmp_path / "shop.db").close()
    env = tmp_path / ".env"
    env.write_text("# mine\nDATABASE_URL=sqlite:///shop.db\nSECRET_KEY=canary-of-file\n")
    env.chmod(0o600)
    (tmp_path / "serve.sh").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "serve.sh").chmod(0o755)
    (tmp_path / "stepflow.yaml").write_text(CONFIG + APPLICATION)
    return tmp_path


def everything(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    stood = {p: p.stat() for p in folder.rglob("*") if p.is_file()}
    return {str(p): (p.read_bytes(), info.st_mtime_ns, info.st_ino) for p, info in stood.items()}


async def plan(folder: Path, **more: Any) -> dict[str, Any]:
    return await application_plan(load_config(folder / "stepflow.yaml", {}), **more)


async def test_it_says_what_would_change_in_order_and_changes_nothing(folder: Path) -> None:
    before = everything(folder)
    found = await plan(folder, look=True)
    assert everything(folder) == before
    assert found["exit_code"] == 0, found["problems"]
    assert [Path(f["file"]).name for f in found["settings"]] == [".env"]
    assert [(line["line"], line["key"]) for line in found["settings"][0]["lines"]] == [
        (2, "DATABASE_URL"),
        (3, "SECRET_KEY"),
    ]
    actions = [c["action"] for c in found["commands"]]
    assert actions.index("stop") < actions.index("settings") < actions.index("start") < actions.index("undo")
    assert found["found"][0]["running"] is False
    assert len(found["health"]) == 1


async def test_no_secret_is_shown_wherever_it_stands(folder: Path) -> None:
    found = await plan(folder, look=True)
    answers = await application_health(load_config(folder / "stepflow.yaml", {}))
    for told in (str(found), "\n".join(plan_lines(found)), str(answers)):
        for name in ("target", "config", "recipe", "url", "query", "file"):
            assert f"canary-of-{name}" not in told


async def test_a_file_that_is_not_there_hides_neither_recipes_nor_checks(folder: Path) -> None:
    (folder / ".env").unlink()
    found = await plan(folder)
    assert found["exit_code"] == 4
    assert [p["code"].partition("_")[0] for p in found["problems"]] == ["setting"]
    assert str(folder / ".env") in found["problems"][0]["message"]
    assert found["problems"][0]["hint"]
    assert found["settings"] == []
    assert any(c["action"] == "stop" for c in found["commands"])
    assert found["health"]


async def test_without_an_application_there_is_nothing(folder: Path) -> None:
    (folder / "stepflow.yaml").write_text(CONFIG)
    found = await plan(folder, look=True)
    assert (found["configured"], found["commands"], found["settings"], found["exit_code"]) == (False, [], [], 0)


async def test_a_config_is_tried_before_it_is_written(folder: Path) -> None:
    text = CONFIG + APPLICATION
    (folder / "stepflow.yaml").unlink()
    found = await application_trial(text, folder / "stepflow.yaml", {})
    assert found["settings"][0]["lines"]
    assert not (folder / "stepflow.yaml").exists()
    with pytest.raises(ConfigError) as caught:
        await application_trial(CONFIG + "application: {recipe: {kind: nonsense}}\n", folder / "stepflow.yaml", {})
    assert "application.recipe" in caught.value.detail


async def test_health_is_asked_now(folder: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    checks = f'health: [{{http: "http://127.0.0.1:{port}/health"}}, {{tcp: "127.0.0.1:1", timeout: 1s}}]'
    (folder / "stepflow.yaml").write_text(CONFIG + f"application: {{{checks}}}\n")
    try:
        first, second = await application_health(load_config(folder / "stepflow.yaml", {}))
    finally:
        server.close()
        await server.wait_closed()
    assert (first["ok"], first["status"]) == (True, 200)
    assert second["ok"] is False
    assert second["reason"]
