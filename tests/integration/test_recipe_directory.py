"""`kind: directory`: a folder or a link takes the application's place, and gives it back exactly as it was."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application.recipes import folders
from stepflow_tui.engine.application.recipes.base import Recipe
from stepflow_tui.engine.errors import DiskFull
from tests.recipe_kit import CANARY, back, contents, ended, forward, recipe, refusal
from tests.sample_app import command_line, free_port, healthy, make_app

MEMORY = Path("/dev/shm")


def of_directory(folder: Path, place: str = "site", release: Path | None = None, **more: Any) -> Recipe:
    release = folder / "site-2" if release is None else release
    return recipe(folder, kind="directory", directory=str(folder / place), release=str(release), **more)


def a_folder(path: Path, text: str) -> Path:
    """With files, modes, a link and a folder in it."""
    (path / "static").mkdir(parents=True)
    (path / "VERSION").write_text(text)
    (path / "static" / "a.css").write_text(text * 100)
    (path / "run.sh").write_text("#!/bin/sh\n")
    (path / "run.sh").chmod(0o750)
    (path / "newest").symlink_to("static/a.css")
    return path


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Path, Path]:
    """The application's folder and the release beside it."""
    return a_folder(tmp_path / "site", "1"), a_folder(tmp_path / "site-2", "2")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Any:
    """A release on another file system."""
    if not MEMORY.is_dir() or MEMORY.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is only one file system")
    folder = MEMORY / f"stepflow-release-{os.getpid()}"
    yield a_folder(folder, "2")
    shutil.rmtree(folder)


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} - {"keep"}


async def test_forward_and_back_with_a_running_application(tmp_path: Path) -> None:
    place, release = make_app(tmp_path / "site"), make_app(tmp_path / "site-2", version="2")
    (release / "fail-at-start").write_text("")
    port, pid = free_port(), tmp_path / "shop.pid"
    code = of_directory(tmp_path)
    runs = recipe(tmp_path, kind="command", command=command_line(place, port), pid_file=str(pid))
    with ended(pid):
        await forward(runs)
        assert (await healthy(port))["version"] == "1"
        was, ran = await code.look(), await runs.look()
        await runs.stop(ran)
        await code.deploy(was)
        await runs.deploy(ran)
        assert (await refusal(runs.start(ran))).code == "recipe_start_failed"
        await runs.stop(ran)
        await runs.put_back(ran)
        await code.put_back(was)
        await runs.start(ran)
        assert (await healthy(port))["version"] == "1"
        (release / "fail-at-start").unlink()
        was, ran = await code.look(), await runs.look()
        await runs.stop(ran)
        await code.deploy(was)
        await runs.deploy(ran)
        await runs.start(ran)
        assert (await healthy(port))["version"] == "2"
        await runs.stop(ran)


async def test_renames_and_their_way_back(tmp_path: Path, sites: tuple[Path, Path]) -> None:
    place, release = sites
    old, new, inode = contents(place), contents(release), place.stat().st_ino
    made = of_directory(tmp_path)
    before = await made.look()
    json.dumps(before)
    assert (contents(place), contents(release)) == (old, new)
    await made.deploy(before)
    assert contents(place) == new
    assert not release.exists()
    [aside] = names(tmp_path) - {"site"}
    assert aside.startswith("site.stepflow-")
    assert contents(tmp_path / aside) == old
    await back(made, before)
    assert (contents(place), contents(release)) == (old, new)
    assert place.stat().st_ino == inode
    assert names(tmp_path) == {"site", "site-2"}


async def test_every_action_can_be_done_twice(tmp_path: Path, sites: tuple[Path, Path]) -> None:
    place, release = sites
    before = await of_directory(tmp_path).look()
    for action in ("deploy", "deploy"):
        await getattr(of_directory(tmp_path), action)(before)
    assert (place / "VERSION").read_text() == "2"
    for action in ("put_back", "put_back"):
        await getattr(of_directory(tmp_path), action)(before)
    assert ((place / "VERSION").read_text(), (release / "VERSION").read_text()) == ("1", "2")


async def test_put_back_before_anything_was_done(tmp_path: Path, sites: tuple[Path, Path]) -> None:
    made = of_directory(tmp_path)
    await made.put_back(await made.look())
    assert (sites[0] / "VERSION").read_text() == "1"


@pytest.mark.parametrize("absolute", [False, True])
async def test_a_link_is_switched_and_switched_back(tmp_path: Path, absolute: bool) -> None:
    one, two = a_folder(tmp_path / "releases" / "1", "1"), a_folder(tmp_path / "releases" / "2", "2")
    link = tmp_path / "current"
    link.symlink_to(one if absolute else "releases/1")
    made = of_directory(tmp_path, "current", two)
    before = await forward(made)
    assert (link / "VERSION").read_text() == "2"
    assert link.readlink() == (two if absolute else Path("releases/2"))
    await back(made, before)
    assert link.readlink() == (one if absolute else Path("releases/1"))
    assert names(tmp_path) == {"current", "releases"}


async def test_a_release_on_another_file_system_is_copied_and_proved(tmp_path: Path, elsewhere: Path) -> None:
    place = a_folder(tmp_path / "site", "1")
    old, new = contents(place), contents(elsewhere)
    made = of_directory(tmp_path, release=elsewhere, build="echo built > built")
    before = await forward(made)
    assert contents(place) == {**new, "built": contents(place)["built"]}
    assert contents(elsewhere) == new, "the release itself is left alone"
    (place / "upload").write_text("taken by the new version")
    await back(made, before)
    assert contents(place) == old
    assert (tmp_path / "site.stepflow-new" / "upload").read_text() == "taken by the new version"
    assert names(tmp_path) == {"site", "site.stepflow-new"}


async def test_a_copy_that_differs_never_takes_the_place(
    tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = a_folder(tmp_path / "site", "1")
    real = shutil.copy2

    def damaged(source: str, target: str) -> None:
        real(source, target)
        if target.endswith("a.css"):
            Path(target).write_text("2" * 99 + "3")

    monkeypatch.setattr(shutil, "copy2", damaged)
    made = of_directory(tmp_path, release=elsewhere)
    before = await made.look()
    assert (await refusal(made.deploy(before))).code == "recipe_copy_differs"
    assert (place / "VERSION").read_text() == "1"
    await back(made, before)
    assert names(tmp_path) == {"site"}
    # Negative control: without the proof the damaged copy is in place.
    monkeypatch.setattr(folders, "_prove", lambda _source, _copy: None)
    await made.deploy(before)
    assert (place / "static" / "a.css").read_text() != (elsewhere / "static" / "a.css").read_text()


async def test_no_room_for_the_copy(tmp_path: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_folder(tmp_path / "site", "1")

    def full(source: str, _target: str) -> None:
        raise OSError(28, "No space left on device", source)

    monkeypatch.setattr(shutil, "copy2", full)
    made = of_directory(tmp_path, release=elsewhere)
    before = await made.look()
    with pytest.raises(DiskFull) as error:
        await made.deploy(before)
    assert "No space left" in error.value.detail
    await back(made, before)
    assert names(tmp_path) == {"site"}


async def test_a_release_with_a_pipe_in_it_is_not_copied(tmp_path: Path, elsewhere: Path) -> None:
    a_folder(tmp_path / "site", "1")
    os.mkfifo(elsewhere / "pipe")
    made = of_directory(tmp_path, release=elsewhere)
    error = await refusal(made.deploy(await made.look()))
    assert error.code == "recipe_directory_failed"
    assert "pipe" in error.detail


async def test_nothing_stood_there_before(tmp_path: Path) -> None:
    release = a_folder(tmp_path / "site-2", "2")
    new = contents(release)
    made = of_directory(tmp_path)
    before = await forward(made)
    await made.deploy(before)
    assert contents(tmp_path / "site") == new
    await back(made, before)
    await made.put_back(before)
    assert names(tmp_path) == {"site-2"}
    assert contents(release) == new


async def test_the_build_runs_in_the_new_folder_before_it_takes_its_place(
    tmp_path: Path, sites: tuple[Path, Path]
) -> None:
    place, release = sites
    made = of_directory(tmp_path, build=f"pwd > built; cat {place}/VERSION >> built")
    before = await forward(made)
    assert (place / "built").read_text() == f"{release}\n1"
    await back(made, before)
    failing = of_directory(tmp_path, build=f"echo {CANARY}; exit 3")
    error = await refusal(failing.deploy(await failing.look()))
    assert error.code == "recipe_build_failed"
    assert (place / "VERSION").read_text() == "1"


async def test_folders_that_cannot_be_exchanged(tmp_path: Path, sites: tuple[Path, Path]) -> None:
    place, release = sites
    (tmp_path / "link").symlink_to(release)
    (tmp_path / "file").write_text("")
    a_folder(place / "inner", "3")
    for made, code in (
        (of_directory(tmp_path, release=tmp_path / "missing"), "recipe_release"),
        (of_directory(tmp_path, release=tmp_path / "link"), "recipe_release"),
        (of_directory(tmp_path, release=tmp_path / "file"), "recipe_release"),
        (recipe(tmp_path, kind="directory", directory=str(place)), "recipe_release"),
        (of_directory(tmp_path, release=place / "inner"), "recipe_directory"),
        (of_directory(tmp_path, release=place), "recipe_directory"),
        (of_directory(tmp_path, "site-2/static", release), "recipe_directory"),
        (of_directory(tmp_path, "file"), "recipe_directory"),
        (of_directory(tmp_path, "missing/site"), "recipe_directory"),
    ):
        error = await refusal(made.look())
        assert (error.code, bool(error.hint)) == (code, True)
    assert names(tmp_path) == {"site", "site-2", "link", "file"}


async def test_what_somebody_else_made_in_the_place_is_not_overwritten(
    tmp_path: Path, sites: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, _release = sites
    made = of_directory(tmp_path)
    before = await made.look()
    real = folders.rename

    def meanwhile(old: Path, new: Path) -> None:
        real(old, new)
        if old == place:
            place.mkdir()
            (place / "theirs").write_text("")

    monkeypatch.setattr(folders, "rename", meanwhile)
    assert (await refusal(made.deploy(before))).code == "recipe_directory_changed"
    assert (place / "theirs").exists()


async def test_a_folder_with_something_mounted_inside_is_not_exchanged(
    tmp_path: Path, sites: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mount goes with a renamed folder: the new version would find its uploads empty."""
    mounts = tmp_path / "mountinfo"
    monkeypatch.setattr(folders, "MOUNTINFO", mounts)
    for point, refused in ((tmp_path / "site-3", False), (sites[0] / "static", True), (sites[1] / "static", True)):
        mounts.write_text(f"36 35 98:0 / {point} rw,noatime - ext4 /dev/sda1 rw\n")
        if not refused:
            assert (await of_directory(tmp_path).look())["was"] == "folder"
            continue
        error = await refusal(of_directory(tmp_path).look())
        assert error.code == "recipe_directory"
        assert str(point) in error.message


async def test_the_dry_run(tmp_path: Path, sites: tuple[Path, Path]) -> None:
    lines = [f"{p.action}: {p.text}" for p in of_directory(tmp_path, build=f"make T={CANARY}").planned()]
    assert [line.split(":")[0] for line in lines] == ["build", "deploy", "undo"]
    assert f"{sites[1]} takes its place" in lines[1]
    assert CANARY not in str(lines)
