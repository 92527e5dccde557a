"""Puts another revision of the application's repository into its folder, builds it, and puts the one of before back.

Owns the order of things; what git is asked and told is in `repository.py`. `build` and `undo` run in the repository unless the
recipe names a folder. A branch means the local one: name a tag or a commit for what only `origin` has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.notes import Notes
from stepflow_tui.engine.application.recipes.preparing import Preparing
from stepflow_tui.engine.application.recipes.repository import Repository
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact

OLD, NEW = "old", "new"


class GitRecipe(Preparing):
    """`kind: git`. It starts and stops nothing: another recipe does."""

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.directory is not None
        self._config = config
        self._directory = config.directory
        self._shell = Shell(config, keep=keep, redact=redact)
        self._notes = Notes(keep)
        self._repository = Repository(
            config.directory, env=self._shell.env, seconds=config.timeout, redact=self._shell.redact
        )

    @property
    def name(self) -> str:
        """`git app`, after its folder."""
        return f"git {self._directory.name}"

    async def look(self) -> Before:
        """Record commit and branch, and find the revision; `origin` is asked for one that is unknown here.

        Raises:
            StepFailed: `recipe_git_missing`, `recipe_git_locked`, `recipe_git_dirty`, `recipe_git_revision`,
                `recipe_git_untracked`.
        """
        await self._repository.usable()
        head, branch = await self._repository.head()
        await self._repository.clean()
        target = head if self._config.revision is None else await self._repository.commit(self._config.revision)
        await self._repository.room_for(target)
        return {"what": f"{branch or 'detached'} at {head[:12]}", "commit": head, "branch": branch, "target": target}

    def planned(self) -> Sequence[Planned]:
        """The checkout and the build."""
        config, shown = self._config, self._shell.redact
        revision = shown(config.revision or "HEAD")
        build = (Planned(action="build", text=f"{shown(config.build)}  (in {self._where})"),) if config.build else ()
        again = config.undo or config.build
        undo = "git checkout of the commit and branch of before" + (f"; {shown(again)}" if again else "")
        return (
            Planned(action="deploy", text=f"git -C {self._directory} checkout --detach {revision}"),
            *build,
            Planned(action="undo", text=undo),
        )

    async def stop(self, before: Before) -> None:
        """Nothing."""

    async def deploy(self, before: Before) -> None:
        """Check the revision out that `look` found, with its submodules, and build it.

        Raises:
            StepFailed: `recipe_git_dirty`, `recipe_git_locked`, `recipe_failed`, `recipe_build_failed`.
        """
        await self._repository.unlocked()
        begun = self._notes.read().get("side") == NEW
        if not begun:
            await self._repository.clean()
            self._notes.set(side=NEW)
        failpoint("recipe_git_deploy_noted")
        if self._config.revision is not None:
            # One that was cut off left files of both revisions behind: nobody's changes, they were clean before.
            await self._repository.checkout(str(before["target"]), force=begun)
        failpoint("recipe_git_checked_out")
        await self._run(self._config.build, "build")

    async def start(self, before: Before) -> None:
        """Nothing."""

    async def put_back(self, before: Before) -> None:
        """Check commit and branch of before out, whatever stands there now; changes made meanwhile are kept aside.

        Raises:
            StepFailed: `recipe_git_locked`, `recipe_failed`, `recipe_build_failed`, `recipe_undo_failed`.
        """
        if self._notes.read().get("side", OLD) == OLD:
            return
        await self._repository.unlocked()
        await self._repository.save_changes(str(before["commit"]))
        branch = before.get("branch")
        await self._repository.checkout(str(before["commit"]), force=True)
        failpoint("recipe_git_checked_out_back")
        if branch:
            await self._repository.attach(str(branch), str(before["commit"]))
        if self._config.undo is not None:
            await self._run(self._config.undo, "undo")
        else:
            await self._run(self._config.build, "build")
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

    @property
    def _where(self) -> Path:
        return self._config.folder or self._directory

    async def _run(self, command: str | None, what: str) -> None:
        if command is not None:
            await self._shell.must(
                command, f"The {what} of {self.name}", folder=self._where, code=f"recipe_{what}_failed"
            )
