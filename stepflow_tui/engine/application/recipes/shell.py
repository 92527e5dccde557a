"""The shell commands of a recipe: `build`, `stop` and `undo`, each run to its end.

An engine that was killed leaves its command running; the next one ends what is left of it before it runs one again.
"""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.application.commands import Ran, Session, end_session, run_command, tail
from stepflow_tui.engine.application.recipes.calls import hiding
from stepflow_tui.engine.application.recipes.notes import Notes
from stepflow_tui.engine.application.recipes.tools import SHOWN_CHARACTERS
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact


class Shell:
    """Runs one recipe's commands with its variables and its time.

    Args:
        config: the recipe.
        keep: its private folder.
        redact: blots secrets out of what the commands print.
    """

    def __init__(self, config: Recipe, *, keep: Path, redact: Redact) -> None:
        self.env = {k: v.get_secret_value() for k, v in config.env.items()}
        self.redact = hiding(redact, self.env, every=True)
        self.seconds = config.timeout
        self._session = Notes(keep, "session.json")

    async def must(self, command: str, what: str, *, folder: Path, code: str) -> None:
        """Run a command that has to succeed.

        Args:
            command: for `/bin/sh`.
            what: `The build of git app`.
            folder: working directory.
            code: of the error.

        Raises:
            StepFailed: `code`, with the end of what it printed.
        """
        ran = await self._run(command, folder)
        if not ran.ok:
            raise StepFailed(
                f"{what} failed: {ran.ending}.",
                detail=tail(ran.output, SHOWN_CHARACTERS) or "it printed nothing",
                hint="Correct the command or what it met, then `stepflow run` again: it is run once more.",
                code=code,
            )

    async def _run(self, command: str, folder: Path) -> Ran:
        await self._end_rest()

        async def started(session: Session) -> None:
            self._session.set(id=session.id, token=session.token)

        try:
            ran = await run_command(
                command, folder=folder, env=self.env, seconds=self.seconds, redact=self.redact, started=started
            )
        except StepFailed as error:
            raise StepFailed(
                f"A recipe's command could not be started in {folder}.",
                detail=error.detail,
                hint="Check that the folder exists and that this user may enter it.",
                code="recipe_failed",
            ) from error
        self._session.set(id=0)  # what a command that has ended left running on purpose is not ours to end
        return ran

    async def _end_rest(self) -> None:
        known = self._session.read()
        if known.get("id"):
            await end_session(Session(id=int(known["id"]), token=str(known["token"])))
