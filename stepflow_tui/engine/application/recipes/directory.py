"""Puts a release's folder in the application's place, and the one of before back: by renames, or by switching a symlink.

Which of the two is in place is seen by names alone: the folder of before stands aside under a name that only this run gives,
so every moment at which an engine can die is told from the others, and gone on from. A release on another file system is
copied beside the folder first. `build` runs in the new folder before it takes its place.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from stepflow_tui.engine.application.recipes import folders
from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.notes import Notes
from stepflow_tui.engine.application.recipes.preparing import Preparing
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.together import to_the_end

LINK, FOLDER, NOTHING = "link", "folder", "nothing"
"""What stood in the application's place: a symlink, a folder, or nothing yet."""
MOVE, COPY, POINT = "move", "copy", "point"
"""How the release gets there: renamed, copied and renamed, or pointed at."""
OLD, NEW = "old", "new"


class DirectoryRecipe(Preparing):
    """`kind: directory`. It starts and stops nothing: another recipe does."""

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.directory is not None
        self._config = config
        self._place = config.directory
        self._release = config.release
        self._shell = Shell(config, keep=keep, redact=redact)
        self._notes = Notes(keep)
        run = hashlib.sha256(str(keep.absolute()).encode()).hexdigest()[:8]
        self._aside = self._place.with_name(f"{self._place.name}.stepflow-{run}")
        self._copy = self._place.with_name(f"{self._place.name}.stepflow-{run}-new")
        self._partial = self._place.with_name(f"{self._place.name}.stepflow-{run}-partial")

    @property
    def name(self) -> str:
        """`directory site`."""
        return f"directory {self._place.name}"

    async def look(self) -> Before:
        """Record what stands there, and how the release will get there.

        Raises:
            StepFailed: `recipe_release`, `recipe_directory`.
        """
        return await asyncio.to_thread(self._look)

    def planned(self) -> Sequence[Planned]:
        """The build and the exchange."""
        config, shown = self._config, self._shell.redact
        build = (Planned(action="build", text=f"{shown(config.build)}  (in the new folder)"),) if config.build else ()
        if self._place.is_symlink():
            text = f"symlink {self._place} is pointed at {self._release}"
            undo = f"symlink {self._place} is pointed at {self._place.readlink()}"
        else:
            text = f"{self._place} is renamed to {self._aside.name}, {self._release} takes its place"
            undo = f"{self._aside.name} is renamed to {self._place}, the release goes back to where it was"
        again = f"; {shown(config.undo)}" if config.undo else ""
        return (*build, Planned(action="deploy", text=text), Planned(action="undo", text=undo + again))

    async def stop(self, before: Before) -> None:
        """Nothing."""

    async def deploy(self, before: Before) -> None:
        """Build the release and put it in place.

        Raises:
            StepFailed: `recipe_build_failed`, `recipe_directory_failed`, `recipe_copy_differs`, `recipe_directory_changed`.
            DiskFull: no room for a copy.
        """
        self._notes.set(side=NEW)
        failpoint("recipe_directory_noted")
        if before["way"] == POINT:
            await self._build(Path(before["release"]))
            await self._do(folders.point, self._place, str(before["points"]))
            return
        if not self._new_in_place(before):
            new = await self._new_folder(before)
            await self._build(new)
            await self._do(self._exchange, before, new)

    async def start(self, before: Before) -> None:
        """Nothing."""

    async def put_back(self, before: Before) -> None:
        """Put in place what stood there.

        Raises:
            StepFailed: `recipe_directory_failed`, `recipe_directory_changed`, `recipe_undo_failed`.
        """
        if self._notes.read().get("side", OLD) == OLD:
            return
        if before["way"] == POINT:
            await self._do(folders.point, self._place, str(before["points_before"]))
        else:
            await self._do(self._exchange_back, before)
        if self._config.undo is not None:
            await self._shell.must(self._config.undo, f"The undo of {self.name}", folder=self._config.folder or self._place, code="recipe_undo_failed")  # fmt: skip
        self._notes.set(side=OLD)

    async def standing(self) -> Standing | None:
        """Nothing runs."""
        return None

    async def log_tail(self, lines: int = 50) -> str:
        """There is none."""
        return ""

    async def variables(self) -> Sequence[str]:
        """Nothing runs."""
        return ()

    # ---- looking

    def _look(self) -> Before:
        release = self._usable_release()
        if self._place.is_symlink():
            self._may_write(self._place.parent)
            old = self._place.readlink()
            here = self._place.parent.resolve()
            points = str(release) if old.is_absolute() else os.path.relpath(release, here)
            return {"what": f"link to {old}", "way": POINT, "was": LINK, "release": str(release),
                    "points_before": str(old), "points": points}  # fmt: skip
        was = self._usable_place(release)
        way = MOVE if release.stat().st_dev == self._place.parent.stat().st_dev else COPY
        return {"what": was, "way": way, "was": was, "release": str(release)}

    def _usable_release(self) -> Path:
        if self._release is None:
            raise _refused("recipe_release", f"{self.name} has no `release`", "Name the folder that takes its place.")
        if self._release.is_symlink() or not self._release.is_dir():
            why = "is a symlink" if self._release.is_symlink() else "is no folder"
            raise _refused(
                "recipe_release", f"the release {self._release} {why}", "Name the folder of the release itself."
            )
        return self._release.resolve()

    def _usable_place(self, release: Path) -> str:
        """What stands there; refuses what can't be exchanged."""
        place, parent = self._place, self._place.parent
        hint = "Name the application's own folder in `directory`, and one beside it in `release`."
        if not parent.is_dir():
            raise _refused("recipe_directory", f"there is no folder {parent}", hint)
        real = parent.resolve() / place.name
        if real == release or real in release.parents or release in real.parents:
            raise _refused("recipe_directory", f"{place} and the release {release} lie within each other", hint)
        if place.exists() and not place.is_dir():
            raise _refused("recipe_directory", f"{place} is no folder", hint)
        if place.is_mount():
            raise _refused(
                "recipe_directory", f"{place} is a mount point and can't be renamed", "Use a symlink instead."
            )
        for folder in (real, release):
            inside = folders.mounts_in(folder)
            if inside:
                why = f"{inside[0]} is mounted inside {folder} and would move with it"
                raise _refused("recipe_directory", why, "Use a symlink as `directory`, or mount it outside.")
        self._may_write(parent)
        self._may_write(release.parent)
        if os.path.lexists(self._aside):
            raise _refused("recipe_directory", f"{self._aside} is left from before", "See which of the two is right, and move the other away.")  # fmt: skip
        return FOLDER if place.exists() else NOTHING

    def _may_write(self, folder: Path) -> None:
        if not os.access(folder, os.W_OK | os.X_OK):
            why = f"this user may not rename anything in {folder}"
            raise _refused("recipe_directory", why, "Allow it to write there, or start stepflow as a user who may.")

    # ---- forward

    def _new_in_place(self, before: Before) -> bool:
        """Told by names: the old one is aside, or the release is no longer where it was."""
        if not os.path.lexists(self._place):
            return False
        if before["was"] == FOLDER:
            return os.path.lexists(self._aside)
        return not os.path.lexists(before["release"]) if before["way"] == MOVE else not os.path.lexists(self._copy)

    async def _new_folder(self, before: Before) -> Path:
        """The folder that is going to take the place, on the same file system."""
        release = Path(before["release"])
        if before["way"] == MOVE:
            return release
        if not self._copy.exists():
            await self._do(self._make_copy, release)
        return self._copy

    def _make_copy(self, release: Path) -> None:
        """A copy has its name only when it is whole."""
        shutil.rmtree(self._partial, ignore_errors=True)
        folders.copy_proved(release, self._partial)
        failpoint("recipe_directory_copied")
        folders.rename(self._partial, self._copy)

    def _exchange(self, before: Before, new: Path) -> None:
        if not new.is_dir():
            raise _changed(f"{new} is gone")
        if before["was"] == FOLDER and not os.path.lexists(self._aside):
            if not self._place.is_dir():
                raise _changed(f"{self._place} is gone")
            folders.rename(self._place, self._aside)
        failpoint("recipe_directory_between")
        if os.path.lexists(self._place):
            raise _changed(f"somebody made {self._place} meanwhile")
        folders.rename(new, self._place)
        failpoint("recipe_directory_exchanged")

    # ---- back

    def _exchange_back(self, before: Before) -> None:
        if self._new_in_place(before):
            self._take_away(before)
        failpoint("recipe_directory_between_back")
        if before["was"] == FOLDER and os.path.lexists(self._aside):
            if os.path.lexists(self._place):
                raise _changed(f"somebody made {self._place} meanwhile")
            folders.rename(self._aside, self._place)
        failpoint("recipe_directory_back")
        for copied in (self._partial, self._copy):  # by these names none has been in the application's place
            shutil.rmtree(copied, ignore_errors=True)

    def _take_away(self, before: Before) -> None:
        """The release goes where it was. A copy is kept, as the application may have written into it."""
        release = Path(before["release"])
        if before["way"] == COPY or os.path.lexists(release):
            release = folders.free_name(self._place, "new")
        folders.rename(self._place, release)

    # ---- pieces

    async def _build(self, folder: Path) -> None:
        if self._config.build is not None:
            where = self._config.folder or folder
            await self._shell.must(
                self._config.build, f"The build of {self.name}", folder=where, code="recipe_build_failed"
            )

    async def _do(self, work: Callable[..., None], *arguments: object) -> None:
        """In a thread, and to its end: half a rename must not go on behind a cancelled step."""
        await to_the_end(asyncio.to_thread(work, *arguments))


def _refused(code: str, why: str, hint: str) -> StepFailed:
    return StepFailed(f"A folder can't be exchanged: {why}.", hint=hint, code=code)


def _changed(why: str) -> StepFailed:
    return StepFailed(
        "A folder is not as StepFlow left it.",
        detail=why,
        hint="Put the folders right by hand: the one of before is named `.stepflow-…`; then run the command again.",
        code="recipe_directory_changed",
    )
