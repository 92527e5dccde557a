"""`kill -9` of an engine at every failpoint of its recipes: the next one goes on, or puts back what stood before."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import command, shell
from stepflow_tui.engine.application.recipes.base import Before, Recipe
from stepflow_tui.engine.application.recipes.calls import until
from stepflow_tui.engine.application.recipes.process import process_of
from tests.recipe_kit import contents, git, recipe, refusal

ROOT = Path(__file__).parents[2]
RECIPES = ROOT / "stepflow_tui" / "engine" / "application" / "recipes"
OWN = ("command.py", "process.py", "directory.py", "folders.py", "git.py")
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def engine() -> Iterator[Callable[..., str]]:
    """Carries out a job in a process of its own and tells how that ended."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.faults.recipe_engine"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None

        def carry_out(
            world: World, *actions: str, point: str = "", log: Path | None = None, unguarded: bool = False
        ) -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            job = {"folder": str(world.folder), "words": world.words, "before": world.before, "actions": actions,
                   "point": point, "log": str(log or ""), "unguarded": unguarded}  # fmt: skip
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return process.stdout.readline().strip()

        yield carry_out
        process.stdin.close()


@dataclass(slots=True)
class World:
    """A folder with an application, the recipe for it, and what stood there."""

    folder: Path
    words: dict[str, Any]
    before: Before | None = None

    @property
    def recipe(self) -> Recipe:
        """As a new engine makes it."""
        return recipe(self.folder, **self.words)


def a_folder(path: Path, version: str) -> Path:
    path.mkdir(parents=True)
    (path / "VERSION").write_text(version)
    (path / "other").write_text(version * 1000)
    return path


def moved(folder: Path) -> World:
    a_folder(folder / "site", "1")
    a_folder(folder / "site-2", "2")
    return World(folder, {"kind": "directory", "directory": str(folder / "site"), "release": str(folder / "site-2")})


def copied(folder: Path) -> World:
    a_folder(folder / "site", "1")
    release = MEMORY / f"stepflow-kill-{os.getpid()}"
    shutil.rmtree(release, ignore_errors=True)
    a_folder(release, "2")
    return World(folder, {"kind": "directory", "directory": str(folder / "site"), "release": str(release)})


def pointed(folder: Path) -> World:
    a_folder(folder / "releases" / "1", "1")
    a_folder(folder / "releases" / "2", "2")
    (folder / "site").symlink_to("releases/1")
    release = folder / "releases" / "2"
    return World(folder, {"kind": "directory", "directory": str(folder / "site"), "release": str(release)})


def revised(folder: Path) -> World:
    app = folder / "site"
    app.mkdir()
    git(app, "init", "-q", "-b", "main")
    for version in ("1", "2"):
        (app / "VERSION").write_text(version)
        (app / "other").write_text(version * 1000)
        git(app, "add", "-A")
        git(app, "commit", "-qm", version)
    git(app, "tag", "v2")
    git(app, "reset", "-q", "--hard", "HEAD~1")
    return World(folder, {"kind": "git", "directory": str(app), "revision": "v2", "build": "cp VERSION ../built"})


WORLDS = {"moved": moved, "copied": copied, "pointed": pointed, "revised": revised}
_RENAMED = {"recipe_directory_noted", "recipe_directory_between", "recipe_directory_exchanged",
            "recipe_directory_between_back", "recipe_directory_back"}  # fmt: skip
PASSED = {
    "moved": _RENAMED,
    "copied": _RENAMED | {"recipe_directory_copied"},
    "pointed": {"recipe_directory_noted", "recipe_link_made", "recipe_link_switched"},
    "revised": {"recipe_git_deploy_noted", "recipe_git_checked_out", "recipe_git_checked_out_back"},
}
"""What each of them passes, forward and back."""
STARTED = {"recipe_process_waits", "recipe_process_noted", "recipe_process_asked_to_end", "recipe_command_launched"}


def version(world: World) -> str:
    """What stands in the application's place; "" if nothing whole does."""
    place = world.folder / "site"
    try:
        found = (place / "VERSION").read_text()
        return found if (place / "other").read_text() == found * 1000 else ""
    except FileNotFoundError:
        return ""


def left(world: World) -> dict[str, tuple[int, bytes]]:
    """All there is, but for what StepFlow keeps for itself and git's own files."""
    return {n: w for n, w in contents(world.folder).items() if not re.match(r"keep/|built$|site/\.git/", n)}


@pytest.fixture(params=WORLDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], World]]:
    """Makes the same world again and again."""
    if request.param == "copied" and (not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev):
        pytest.skip("there is only one file system")

    def again() -> World:
        shutil.rmtree(tmp_path / "world", ignore_errors=True)
        (tmp_path / "world").mkdir()
        return WORLDS[request.param](tmp_path / "world")

    yield again
    shutil.rmtree(MEMORY / f"stepflow-kill-{os.getpid()}", ignore_errors=True)


async def test_killed_anywhere_the_next_engine_goes_on_or_back(
    made: Callable[[], World], engine: Callable[..., str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    killed_at: set[str] = set()
    for forward, action in ((True, "deploy"), (False, "put_back")):
        for point in await _points(made(), engine, tmp_path / f"passed-{action}", action):
            for goes_on in (True, False):
                world = made()
                stood = left(world)
                world.before = await world.recipe.look()
                if not forward:
                    await world.recipe.deploy(world.before)
                assert engine(world, action, point=point) == "killed", point
                killed_at.add(point.partition(":")[0])
                assert version(world) in ("1", "2", ""), "never a mixture that counts as whole"
                if forward and goes_on:
                    await world.recipe.deploy(world.before)
                    assert version(world) == "2", point
                await world.recipe.put_back(world.before)
                assert version(world) == "1", point
                now = {n: w for n, w in left(world).items() if ".stepflow-new" not in n}
                assert now == stood, point
                if (world.folder / "site" / ".git").exists():
                    assert git(world.folder / "site", "status", "--porcelain", "--branch") == "## main"
    assert killed_at == PASSED[request.node.callspec.params["made"]]


async def _points(world: World, engine: Callable[..., str], log: Path, action: str) -> list[str]:
    """All passes of a run that nobody kills."""
    world.before = await world.recipe.look()
    if action != "deploy":
        await world.recipe.deploy(world.before)
    assert engine(world, action, log=log) == "exit 0"
    return log.read_text().split()


async def test_control_an_engine_that_does_not_know_the_name_leaves_nothing(
    tmp_path: Path, engine: Callable[..., str]
) -> None:
    """What tells the next engine that the old folder stands aside is its name alone."""
    world = moved(tmp_path)
    world.before = await world.recipe.look()
    assert engine(world, "deploy", point="recipe_directory_between:1") == "killed"
    assert version(world) == ""
    strange = recipe(tmp_path, **world.words)
    strange._aside = tmp_path / "another name"  # type: ignore[attr-defined]
    await strange.put_back(world.before)
    assert version(world) == "", "damage: nothing stands in the application's place"


async def test_a_checkout_that_was_cut_off_is_done_again(tmp_path: Path, engine: Callable[..., str]) -> None:
    """As after a loss of power within git: half of the files are new, and git still names the old commit."""
    world = revised(tmp_path)
    world.before = await world.recipe.look()
    assert engine(world, "deploy", point="recipe_git_deploy_noted:1") == "killed"
    (tmp_path / "site" / "VERSION").write_text("2")
    # Negative control: an engine that had noted nothing takes the half for somebody's changes.
    notes = tmp_path / "keep" / "1-git" / "notes.json"
    noted = notes.read_bytes()
    notes.unlink()
    assert (await refusal(world.recipe.deploy(world.before))).code == "recipe_git_dirty"
    notes.write_bytes(noted)
    await world.recipe.deploy(world.before)
    assert version(world) == "2"
    await world.recipe.put_back(world.before)
    assert version(world) == "1"


# ---- processes


def started(folder: Path) -> World:
    """A command that writes down every process that it ever was."""
    line = "echo $$ >> started; exec sleep 300"
    return World(folder, {"kind": "command", "command": line, "pid_file": str(folder / "shop.pid")})


def alive(world: World) -> list[int]:
    """Which of all the started processes run."""
    with contextlib.suppress(FileNotFoundError):
        pids = [int(p) for p in (world.folder / "started").read_text().split()]
        return [p for p in pids if process_of(p) is not None]
    return []


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Nothing of it is left running."""
    monkeypatch.setattr(command, "SETTLE_SECONDS", 0.05)
    made = started(tmp_path)
    yield made
    for pid in alive(made):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


FORWARD = ("stop", "deploy", "start", "stop")


async def test_killed_anywhere_one_process_runs_and_the_pid_file_names_it(
    world: World, engine: Callable[..., str], tmp_path: Path
) -> None:
    world.before = await world.recipe.look()
    assert engine(world, *FORWARD, log=tmp_path / "passed") == "exit 0"
    points = (tmp_path / "passed").read_text().split()
    assert {p.partition(":")[0] for p in points} == STARTED
    assert alive(world) == []
    for point in points:
        assert engine(world, *FORWARD, point=point) == "killed", point
        made = world.recipe
        await made.deploy(world.before)
        await made.start(world.before)
        await _begun(world)
        [pid] = alive(world)
        assert int((tmp_path / "shop.pid").read_text()) == pid, point
        await made.stop(world.before)
        assert alive(world) == [], point


async def test_control_a_command_that_does_not_wait_is_lost_with_the_engine(
    world: World, engine: Callable[..., str]
) -> None:
    world.before = await world.recipe.look()
    assert engine(world, *FORWARD, point="recipe_process_waits:1", unguarded=True) == "killed"
    await _begun(world)
    assert len(alive(world)) == 1
    assert not (world.folder / "shop.pid").exists(), "damage: it runs, and nobody knows"
    await world.recipe.stop(world.before)
    assert len(alive(world)) == 1


async def _begun(world: World) -> None:
    async def there() -> bool:
        return bool(alive(world))

    assert await until(there, 20, 0.01)


def test_every_failpoint_is_one_of_these() -> None:
    sources = "".join((RECIPES / name).read_text() for name in OWN)
    assert set(re.findall(r'failpoint\("(\w+)"\)', sources)) == STARTED.union(*PASSED.values())


async def test_a_build_that_a_killed_engine_left_running_is_ended_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = started(tmp_path)
    world.words["build"] = "echo $$ >> started; [ -e go ] || sleep 300"
    world.before = await world.recipe.look()
    script = (
        "import asyncio, json, sys; from pathlib import Path; from tests.recipe_kit import recipe\n"
        "folder, words = json.loads(sys.argv[1])\n"
        "asyncio.run(recipe(Path(folder), **words).deploy({}))\n"
    )
    arguments = [sys.executable, "-c", script, json.dumps([str(tmp_path), world.words])]
    with subprocess.Popen(arguments, cwd=ROOT) as process:
        await _begun(world)
        process.kill()
    try:
        [build] = alive(world)
        (tmp_path / "go").touch()
        with monkeypatch.context() as unguarded:  # negative control: two builds at once

            async def nothing(_session: object) -> int:
                return 0

            unguarded.setattr(shell, "end_session", nothing)
            saved = (tmp_path / "keep" / "1-command" / "session.json").read_bytes()
            await world.recipe.deploy(world.before)
            assert alive(world) == [build]
            (tmp_path / "keep" / "1-command" / "session.json").write_bytes(saved)
        await world.recipe.deploy(world.before)
        assert alive(world) == []
    finally:
        for pid in alive(world):
            os.killpg(pid, signal.SIGKILL)
