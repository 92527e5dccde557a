"""What the preflight says about recipes, before anything is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.checks import application_recipes
from stepflow_tui.engine.checks.context import check_context
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, Severity


async def _found(tmp_path: Path, recipe: dict[str, Any], mode: str = "live") -> list[Finding]:
    source = tmp_path / "app" / "shop.db"
    source.parent.mkdir(exist_ok=True)
    source.touch()
    config = Config.model_validate(
        {
            "name": "shop",
            "kind": "sqlite-to-postgres",
            "mode": mode,
            "source": {"path": str(source)},
            "application": {"recipe": recipe},
        }
    )
    async with check_context(config, state_dir=tmp_path / "state") as ctx:
        ctx.folder = tmp_path
        return await application_recipes.run(ctx)


async def test_a_window_that_nobody_opens_is_told(tmp_path: Path) -> None:
    no_recipe: Any = []
    assert [(f.code, f.severity) for f in await _found(tmp_path, no_recipe, "offline")] == [
        ("offline_no_recipe", Severity.INFO)
    ]
    assert await _found(tmp_path, no_recipe, "live") == []


@pytest.mark.parametrize("folder", ["app", "."])
async def test_a_folder_with_the_database_in_it_is_not_replaced(tmp_path: Path, folder: str) -> None:
    (tmp_path / "new").mkdir()
    found = await _found(
        tmp_path, {"kind": "directory", "directory": str(tmp_path / folder), "release": str(tmp_path / "new")}
    )
    assert ("recipe_moves_data", "the database") in {(f.code, f.params.get("what")) for f in found}
    assert {f.severity for f in found} == {Severity.BLOCKING}


async def test_a_folder_beside_it_is(tmp_path: Path) -> None:
    for name in ("site", "new"):
        (tmp_path / name).mkdir()
    recipe = {"kind": "directory", "directory": str(tmp_path / "site"), "release": str(tmp_path / "new")}
    assert await _found(tmp_path, recipe) == []


async def test_what_could_not_be_done_is_said_now(tmp_path: Path) -> None:
    recipe = {"kind": "git", "directory": str(tmp_path / "nowhere"), "revision": "v2"}
    [found] = await _found(tmp_path, recipe)
    assert (found.code, found.severity) == ("application_recipe", Severity.BLOCKING)
    assert await _found(tmp_path, recipe, mode="copy") == []
