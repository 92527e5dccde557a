"""`kind: git` with a real git: forward, a build that fails, and back; nothing of anybody's is lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import repository
from stepflow_tui.engine.application.recipes.base import Recipe
from tests.recipe_kit import CANARY, back, contents, ended, forward, git, recipe, refusal
from tests.sample_app import command_line, free_port, healthy, make_app


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A repository on `main` at version 1; the tag v2 has another VERSION, one file more and one less."""
    folder = tmp_path / "app"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / ".gitignore").write_text(".env\nport\n*.db\n")
    (folder / "only-1").write_text("one")
    _commit(folder, "1")
    (folder / "only-1").unlink()
    (folder / "only-2").write_text("two")
    _commit(folder, "2")
    git(folder, "tag", "v2")
    git(folder, "reset", "-q", "--hard", "HEAD~1")
    return folder


def _commit(folder: Path, version: str) -> str:
    (folder / "VERSION").write_text(version)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", f"version {version}")
    return git(folder, "rev-parse", "HEAD")


def of_git(app: Path, revision: str | None = "v2", **more: Any) -> Recipe:
    return recipe(app.parent, kind="git", directory=str(app), revision=revision, **more)


def state(app: Path) -> tuple[str, str, str]:
    """Commit, branch ("" if none) and what git says about the files."""
    return (
        git(app, "rev-parse", "HEAD"),
        git(app, "branch", "--show-current"),
        git(app, "status", "--porcelain"),
    )


async def test_forward_and_back_with_a_running_application(app: Path, tmp_path: Path) -> None:
    make_app(app, version="1")  # .env and database are ignored by git
    port, pid = free_port(), tmp_path / "shop.pid"
    build = "cat VERSION >> ../built; echo >> ../built"
    code = of_git(app, build=build)
    runs = recipe(tmp_path, kind="command", command=command_line(app, port), pid_file=str(pid))
    with ended(pid):
        await forward(runs)
        assert (await healthy(port))["version"] == "1"
        stood = state(app), contents(app)
        was, ran = await code.look(), await runs.look()
        assert (state(app), contents(app)) == stood, "looking changes nothing"
        json.dumps(was)
        await runs.stop(ran)
        await code.deploy(was)
        await runs.deploy(ran)
        await runs.start(ran)
        assert (await healthy(port))["version"] == "2"
        assert git(app, "rev-parse", "HEAD") == git(app, "rev-parse", "v2")
        assert not (app / "only-1").exists()
        await runs.stop(ran)
        await runs.put_back(ran)
        await code.put_back(was)
        await runs.start(ran)
        assert (await healthy(port))["version"] == "1"
        assert state(app) == stood[0], "commit and branch are as before"
        assert (app / "only-1").exists()
        assert not (app / "only-2").exists()
        await runs.stop(ran)
    assert (tmp_path / "built").read_text().split() == ["2", "1"]


async def test_a_build_that_fails_is_put_back(app: Path) -> None:
    stood = state(app), contents(app)
    made = of_git(app, build=f"[ $(cat VERSION) = 1 ] || {{ echo {CANARY}; exit 7; }}")
    before = await made.look()
    error = await refusal(made.deploy(before))
    assert error.code == "recipe_build_failed"
    assert "exit status 7" in error.message
    await back(made, before)
    assert (state(app), _without_git(contents(app))) == (stood[0], _without_git(stood[1]))


async def test_every_action_can_be_done_twice(app: Path) -> None:
    stood = state(app)
    before = await of_git(app).look()
    for action in ("stop", "deploy", "deploy", "start"):
        await getattr(of_git(app), action)(before)
    assert (app / "only-2").exists()
    for action in ("put_back", "put_back"):
        await getattr(of_git(app), action)(before)
    assert state(app) == stood


async def test_a_detached_head_is_put_back_detached(app: Path) -> None:
    git(app, "checkout", "-q", "--detach")
    stood = state(app)
    made = of_git(app)
    await back(made, await forward(made))
    assert state(app) == stood
    assert stood[1] == ""


async def test_a_branch_that_was_moved_meanwhile_is_not_moved_back(app: Path) -> None:
    made = of_git(app)
    before = await forward(made)
    git(app, "branch", "-f", "main", "v2")
    await back(made, before)
    assert git(app, "rev-parse", "HEAD") == before["commit"]
    assert git(app, "rev-parse", "main") == git(app, "rev-parse", "v2")


async def test_changed_files_are_refused_by_name_and_unknown_ones_are_no_matter(app: Path) -> None:
    (app / "notes.txt").write_text("mine")
    made = of_git(app)
    before = await made.look()
    (app / "VERSION").write_text("changed")
    error = await refusal(made.look())
    assert (error.code, error.detail) == ("recipe_git_dirty", "VERSION")
    assert (await refusal(made.deploy(before))).code == "recipe_git_dirty", "changed between look and deploy"
    assert (app / "VERSION").read_text() == "changed"


@pytest.mark.parametrize("ignored", [False, True])
async def test_files_git_does_not_know_are_never_overwritten(app: Path, ignored: bool) -> None:
    """A checkout overwrites ignored files without a word."""
    if ignored:
        (app / ".gitignore").write_text("only-2\n")
        git(app, "commit", "-qam", "ignore it")
    (app / "only-2").write_text("mine")
    error = await refusal(of_git(app).look())
    assert (error.code, error.detail) == ("recipe_git_untracked", "only-2")
    assert (app / "only-2").read_text() == "mine"
    if ignored:  # negative control: what git does by itself
        git(app, "checkout", "-q", "--detach", "v2")
        assert (app / "only-2").read_text() == "two"


async def test_what_was_changed_on_the_new_side_is_kept_aside(app: Path, tmp_path: Path) -> None:
    made = of_git(app, build="[ $(cat VERSION) = 1 ] || echo built >> VERSION")
    before = await forward(made)
    (app / "only-1").write_text("made by the new version")
    await back(made, before)
    assert ((app / "VERSION").read_text(), (app / "only-1").read_text()) == ("1", "one")
    kept = tmp_path / "app.stepflow-changes"
    assert (kept / "VERSION").read_text() == "2built\n"
    assert (kept / "only-1").read_text() == "made by the new version"


async def test_a_revision_that_only_origin_has_is_fetched(app: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", str(app), str(copy))
    git(app, "checkout", "-q", "-b", "next", "v2")
    newest = _commit(app, "3")
    git(app, "tag", "v3")
    for revision in ("v3", "next", newest):
        assert (await of_git(copy, revision).look())["target"] == newest


async def test_a_shallow_clone_of_one_branch_gets_another(app: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    git(tmp_path, "clone", "-q", "--depth", "1", "--single-branch", f"file://{app}", str(copy))
    git(app, "checkout", "-q", "-b", "next", "v2")
    newest = _commit(app, "3")
    made = of_git(copy, "next")
    before = await forward(made)
    assert git(copy, "rev-parse", "HEAD") == newest == before["target"]
    await back(made, before)
    assert state(copy)[1:] == ("main", "")


async def test_a_file_in_the_place_of_a_new_folder_is_named_before_anything_is_stopped(app: Path) -> None:
    git(app, "checkout", "-q", "v2")
    (app / "uploads").mkdir()
    (app / "uploads" / "keep").write_text("")
    (app / "only-2").unlink()
    (app / "only-2").mkdir()
    (app / "only-2" / "x").write_text("")  # a file of theirs becomes a folder: that is the revision's own business
    _commit(app, "3")
    git(app, "tag", "v3")
    git(app, "checkout", "-q", "v2")
    assert (await of_git(app, "v3").look())["target"]
    (app / "uploads").write_text("mine")
    error = await refusal(of_git(app, "v3").look())
    assert (error.code, error.detail) == ("recipe_git_untracked", "uploads")


async def test_an_unknown_revision_and_an_origin_that_does_not_answer(app: Path, tmp_path: Path) -> None:
    assert (await refusal(of_git(app, "v9").look())).code == "recipe_git_revision"
    assert (await refusal(of_git(app, "--upload-pack=touch x").look())).code == "recipe_git_revision"
    git(app, "remote", "add", "origin", f"http://ann:{CANARY}-other@127.0.0.1:{free_port()}/app.git")
    error = await refusal(of_git(app, "v9").look())
    assert error.code == "recipe_failed"
    assert "-other" not in str(error)
    assert "ann" not in str(error)


async def test_a_lock_of_another_git(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "LOCK_SECONDS", 0.1)
    made = of_git(app)
    before = await made.look()
    lock = app / ".git" / "index.lock"
    lock.touch()
    for work in (made.look(), made.deploy(before)):
        error = await refusal(work)
        assert (error.code, str(lock.name) in error.detail) == ("recipe_git_locked", True)
    assert git(app, "rev-parse", "HEAD") == before["commit"]
    lock.unlink()
    await made.deploy(before)
    lock.touch()
    assert (await refusal(made.put_back(before))).code == "recipe_git_locked"
    lock.unlink()
    await made.put_back(before)
    assert git(app, "rev-parse", "HEAD") == before["commit"]


async def test_a_folder_that_is_no_repository_of_its_own(app: Path, tmp_path: Path) -> None:
    inner = app / "inner"
    inner.mkdir()
    plain = tmp_path / "plain"
    plain.mkdir()
    empty = tmp_path / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    for folder in (inner, plain, empty, tmp_path / "missing"):
        assert (await refusal(of_git(folder).look())).code == "recipe_git_missing"
    assert "within the repository" in (await refusal(of_git(inner).look())).detail


async def test_no_git_on_this_machine(app: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (await refusal(of_git(app).look())).code == "recipe_tool_missing"


async def test_submodules_follow(app: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    git(library, "init", "-q", "-b", "main")
    old = _commit(library, "lib 1")
    git(app, "submodule", "--quiet", "add", str(library), "lib")
    _commit(app, "1 with lib")
    new = _commit(library, "lib 2")
    git(app / "lib", "fetch", "-q", "origin")
    git(app / "lib", "checkout", "-q", new)
    git(app, "commit", "-qam", "newer lib")
    git(app, "tag", "v3")
    git(app, "reset", "-q", "--hard", "HEAD~1")
    git(app, "submodule", "--quiet", "update")
    made = of_git(app, "v3")
    before = await forward(made)
    assert (app / "lib" / "VERSION").read_text() == "lib 2"
    await back(made, before)
    assert git(app / "lib", "rev-parse", "HEAD") == old
    assert state(app)[2] == ""


async def test_without_a_revision_it_only_builds(app: Path) -> None:
    stood = state(app)
    made = of_git(app, None, build="cat VERSION > ../built", undo="echo undone > ../built")
    before = await forward(made)
    assert (app.parent / "built").read_text() == "1"
    await back(made, before)
    assert (app.parent / "built").read_text() == "undone\n"
    assert state(app) == stood


async def test_the_dry_run(app: Path) -> None:
    lines = [f"{p.action}: {p.text}" for p in of_git(app, build=f"make T={CANARY}").planned()]
    assert lines[0] == f"deploy: git -C {app} checkout --detach v2"
    assert [line.split(":")[0] for line in lines] == ["deploy", "build", "undo"]
    assert CANARY not in str(lines)


def _without_git(files: dict[str, tuple[int, bytes]]) -> dict[str, tuple[int, bytes]]:
    return {name: what for name, what in files.items() if not name.startswith(".git/")}
