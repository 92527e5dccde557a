"""The application on its way from one side to the other: stopped, its settings changed, deployed, started, asked how it is;
and all of it back. What is about to be done is on disk before it is done, so that another engine can finish it or take it
back.

Who owns writes is no business of this: whoever calls sees to it that the application finds them where it will look.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.health import Answer
from stepflow_tui.engine.application.recipes.notes import forget_old_processes
from stepflow_tui.engine.application.recipes.pid_file import forget_records
from stepflow_tui.engine.application.settings import changed_lines
from stepflow_tui.engine.errors import StepFailed, StepFlowError, Stopping
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.events import Level
from stepflow_tui.engine.steps.application import findings
from stepflow_tui.engine.steps.application.bookkeeping import KEPT, Bookkeeping, restarts_application
from stepflow_tui.engine.steps.application.kept_config import forget_config
from stepflow_tui.engine.steps.application.last_look import try_functions
from stepflow_tui.engine.steps.application.side_settings import SideSettings
from stepflow_tui.engine.steps.application.state import Failure, Stage
from stepflow_tui.engine.steps.application.wellbeing import (
    NEVER,
    as_usual,
    baseline,
    lies_still,
    wait_well,
)
from stepflow_tui.engine.together import to_the_end

if TYPE_CHECKING:
    from stepflow_tui.engine.application.recipes.base import Planned, Recipe
    from stepflow_tui.engine.application.settings import DiffLine
    from stepflow_tui.engine.model.config_application import Health
    from stepflow_tui.engine.steps.context import RunContext


UNTOUCHED = "Nothing was stopped or changed: the application runs as before."

First = Callable[[], Awaitable[Any]]
"""What must be done before the old application may be started again, such as taking writes back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """One thing that must hold before the application is touched. `code` is a guard's; `reason` "" when it holds."""

    code: str
    reason: str = ""

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return not self.reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What would be done: lines of settings, and what recipes would do; changes nothing."""

    lines: tuple[DiffLine, ...]
    planned: tuple[Planned, ...]


def changeover_of(ctx: RunContext) -> Changeover:
    """The engine's one."""
    known = ctx.memory.find(Changeover)
    if known is None:
        known = Changeover(ctx)
        ctx.memory.put(known)
    return known


class Changeover(Bookkeeping):
    """The application's two sides, and the way between them. One per engine; nothing in it runs twice at once."""

    def __init__(self, ctx: RunContext) -> None:
        super().__init__(ctx)
        self._settings = SideSettings(self)
        self._turn = asyncio.Lock()
        self._doing = ""
        self._untouched = False  # whether what is being stopped is the old side as it was found

    # ---- looking

    async def rehearse(self) -> Rehearsed:
        """What would be changed and done.

        Raises:
            Refused: settings can't be changed so, or a recipe could not be taken back (`setting_*`, `recipe_*`).
        """
        edits = await self._settings.plan()
        for recipe in self.recipes:
            await recipe.look()
        lines = tuple(line for edit in edits for line in changed_lines(edit))
        return Rehearsed(lines=lines, planned=tuple(p for recipe in self.recipes for p in recipe.planned()))

    async def ready(self) -> tuple[Ready, ...]:
        """Whether settings can be changed, recipes carried out and taken back, and the application is well now."""
        if not self.configured:
            return ()
        if self.stage is not Stage.OLD:
            return (Ready(code="settings"), Ready(code="recipes"), Ready(code="health"))  # on its way already
        return (
            Ready(code="settings", reason=await _reason(self._settings.plan())),
            Ready(code="recipes", reason=await _reason(self._look_at_all())),
            Ready(code="health", reason=await self._unwell()),
        )

    async def check_back(self) -> None:
        """Refused (`setting_changed_since`) while the new application still runs, where its settings can't be put back."""
        if self.stage is Stage.NEW:
            await self._settings.check_back()

    async def ask_now(self) -> tuple[Answer, ...]:
        """Ask all checks once and show what they say."""
        new = self.stage is Stage.NEW
        checks = self.config.health if new else as_usual(self.config.health, self.state.usual)
        found = await baseline(checks, sql=self.sql(new=new), folder=self.folder, redact=self.redact)
        self._answers.clear()
        for _form, answer in found:
            self.told(answer)
        await self.show()
        return tuple(answer for _form, answer in found)

    # ---- acting

    async def prepare(self) -> None:
        """What recipes can do while the application runs: a pull or a build that fails must not cost a stopped one. Nothing
        when it is on its way already.

        Raises:
            StepFlowError: it can't be done; the application was not touched.
        """
        async with self._turn:
            for recipe in self.recipes if self.stage is Stage.OLD else ():
                async with self._named(recipe.name):
                    await self._prepare(recipe)

    async def stop(self) -> None:
        """Stop the application, and keep it stopped until `switch_over` or `switch_back`.

        Raises:
            StepFlowError: it can't be stopped, or could not be put back; it is as before then.
        """
        async with self._turn:
            await to_the_end(self._guarded(self._stop, None))

    async def switch_over(self, first: First | None = None) -> None:
        """To the new side, from wherever it is; nothing if it is there. When it fails, everything is put back.

        Args:
            first: done before the old application is started again; if that fails, nothing is put back.

        Raises:
            StepFailed: `application_start_failed` (or `setting_*`, `recipe_*`): the old application runs again.
            StepFlowError: it could not be put back; calling it again goes on.
        """
        async with self._turn:
            if self.stage is not Stage.NEW:
                self.need_recipes()  # nothing is put back for the sake of a config that lacks something
            await to_the_end(self._guarded(self._over, first))

    async def switch_back(self, between: First | None = None) -> None:
        """To the old side, from wherever it is; nothing if it is there.

        Args:
            between: done when the new application is stopped and everything put back, before the old one is started.

        Raises:
            StepFlowError: the old application can't be started, or is not as well as it was; calling it again goes on.
        """
        async with self._turn:
            self.need_recipes()
            await to_the_end(self._back(between=between))

    async def start_old(self) -> None:
        """Start the application that was stopped, on the old side."""
        await self.switch_back()

    async def forget(self) -> None:
        """Nobody goes back any more: settings and processes of before, with their secrets, are not kept any longer."""
        await self._settings.forget()
        await asyncio.to_thread(forget_old_processes, self.private(KEPT))
        await asyncio.to_thread(forget_config, self.ctx.run_dir)

    # ---- forward

    async def _guarded(self, work: Callable[[], Awaitable[None]], first: First | None) -> None:
        try:
            await work()
        except StepFlowError as error:
            await self._failed(error, first)
        except Stopping:
            raise
        except Exception as error:  # whatever it is, the application must not be left lying
            traceback.print_exc()  # the engine's stderr is its log
            await self._failed(StepFailed(f"An internal error: {type(error).__name__}.", code="internal"), first)

    async def _prepare(self, recipe: Recipe) -> None:
        before = await recipe.look()
        try:
            await recipe.prepare(before)
        except StepFlowError as error:
            error.detail = f"{error.detail}\n{UNTOUCHED}".strip()
            raise
        failpoint("application_prepared")

    async def _stop(self) -> None:
        if self.stage in (Stage.OLD, Stage.STOPPING):
            await self._remember()
            await self._halt()

    async def _over(self) -> None:
        begun = time.monotonic()
        state = self.state
        if state.stage is Stage.NEW:
            return
        if state.stage in (Stage.OLD, Stage.STOPPING, Stage.BACK) or state.failure is not None:
            if state.stage is Stage.OLD:
                await self._settings.plan()  # what can't be changed is said while the application runs
            await self._remember()
            await self._halt()
        if state.stage in (Stage.STOPPED, Stage.SWITCHING):
            await self._change()
        await self._start()
        await self._settle(time.monotonic() - begun)

    async def _remember(self) -> None:
        """What stands before anything is touched: looked at once, whatever engine goes on."""
        state = self.state
        if state.stage is not Stage.OLD or state.before:
            return
        state.before = {recipe.name: dict(await recipe.look()) for recipe in self.recipes}
        state.usual = [form for form, _answer in await self._usual()]
        await self.save()

    async def _halt(self) -> None:
        self._untouched = self.stage is Stage.OLD
        await self.enter(Stage.STOPPING)
        await self._each("stop", self.recipes)
        failpoint("application_halted")
        await self.enter(Stage.STOPPED)

    async def _change(self) -> None:
        """Settings, then code (builds read settings), then settings that came with the code. Begun anew where an engine was
        lost in the middle."""
        await self.enter(Stage.SWITCHING)
        await self._settings.put_back()
        await self._settings.put_beside()
        failpoint("application_settings_changed")
        await self._each("deploy", self.recipes)
        failpoint("application_deployed")
        await self._settings.put_inside()

    async def _start(self) -> None:
        await self.enter(Stage.STARTING)
        await self._each("start", self.recipes)
        failpoint("application_started")
        if not restarts_application(self.config):
            return
        self.state.restarted_at_ms = self.ctx.clock.now_ms()
        await self.save()
        await self._well(self.config.health, new=True)
        await self._try_functions()

    async def _settle(self, seconds: float) -> None:
        self.state.failure = None
        await self.enter(Stage.NEW)
        await self.show()
        failpoint("application_switched")
        await self.ctx.journal.set_findings(findings.STAGE, [])
        if not restarts_application(self.config):
            await self.tell("application_changed")
            return
        await self.ctx.journal.check_item("application-switched", ok=True, note=self._note())
        await self.tell("application_switched", seconds=round(seconds, 2))

    def _note(self) -> str:
        asked = len(self.config.health)
        return f"switched by StepFlow, {asked} health checks passed" if asked else "switched by StepFlow, running"

    # ---- back

    async def _failed(self, error: StepFlowError, first: First | None) -> None:
        """Keep what explains it, then put everything back, then say so.

        Raises:
            StepFailed: always.
        """
        reached = self.stage
        failure = await self._keep_failure(error, reached)
        try:
            if first is not None:
                await first()
            await self._back(unstopped=reached is Stage.STOPPING and self._untouched)
        except StepFlowError as worse:
            await self._tell_finding(failure, f"It could not be put back: {worse.message}")
            raise StepFailed(
                "The application did not come up on the new side, and could not be put back.",
                detail=f"{failure.reason}\n{worse.message} {worse.detail}".strip(),
                hint=worse.hint,
                code="application_not_put_back",
            ) from worse
        raise findings.put_back_error(failure, findings.CODE if reached is Stage.STARTING else error.code, reached)

    async def _keep_failure(self, error: StepFlowError, reached: Stage) -> Failure:
        """Logs are read now: going back overwrites them."""
        touched = self.recipes if reached is not Stage.OLD else ()
        redact = await asyncio.to_thread(findings.log_redact_of, self.ctx)
        failure = await findings.failure_of(error, touched, self._doing, redact)
        self.state.failure = failure
        with contextlib.suppress(StepFlowError):  # a full disk must not keep it from being put back
            await self.save()
        await self.tell("application_failed", level=Level.WARNING, reason=failure.reason)
        return failure

    async def _back(self, *, unstopped: bool = False, between: First | None = None) -> None:
        """`unstopped`: the old side could not be stopped just now, so nothing else was done yet; what runs goes on."""
        state = self.state
        outcome = "The old application was not touched."
        if state.stage is not Stage.OLD:
            outcome = self._outcome()
            begun = time.monotonic()
            if unstopped:
                await self._each("start", [recipe for recipe in self.recipes if await lies_still(recipe)])
            else:
                await self._undo(between)
            if restarts_application(self.config):
                state.restarted_at_ms = self.ctx.clock.now_ms()
                await self._well(as_usual(self.config.health, state.usual), new=False)
            await self._settle_back(time.monotonic() - begun)
        if state.failure is not None:
            await self._tell_finding(state.failure, outcome)
            state.failure = None
            await self.save()

    async def _undo(self, between: First | None) -> None:
        with contextlib.suppress(StepFlowError):  # whatever stage the next engine finds, it goes the same way
            await self.enter(Stage.BACK)
        await self._each("stop", tuple(reversed(self.recipes)))
        await self._settings.put_back()
        failpoint("application_settings_back")
        await self._each("put_back", tuple(reversed(self.recipes)))
        failpoint("application_put_back")
        if between is not None:
            await between()
        await self._each("start", self.recipes)
        failpoint("application_old_started")

    async def _settle_back(self, seconds: float) -> None:
        state = self.state
        state.before, state.stage = {}, Stage.OLD
        await self.save()
        await asyncio.to_thread(forget_old_processes, self.private(KEPT))  # it runs again: its environment is its own
        await asyncio.to_thread(forget_records, self.private(KEPT))
        failpoint("application_back")
        await self.show()
        await self.tell("application_back", seconds=round(seconds, 2))

    def _outcome(self) -> str:
        asked = as_usual(self.config.health, self.state.usual)
        if not restarts_application(self.config):
            return "Settings and code are as before; no recipe restarts the application."
        if not self.config.health:
            return "The old application runs again; no health check is configured."
        if not asked:
            return "The old application was started again; it passed no health check before either."
        return "The old application runs again and is healthy."

    async def _tell_finding(self, failure: Failure, outcome: str) -> None:
        await self.ctx.journal.set_findings(findings.STAGE, [findings.start_failed(failure, outcome)])

    # ---- pieces

    async def _each(self, action: str, recipes: Sequence[Recipe]) -> None:
        for recipe in recipes:
            before = self.before(recipe)
            async with self._named(recipe.name):
                await getattr(recipe, action)(before)

    @asynccontextmanager
    async def _named(self, name: str) -> AsyncIterator[None]:
        """Whose action it is, while it goes on; it stays when the action fails."""
        self._doing = name
        yield
        self._doing = ""

    async def _look_at_all(self) -> None:
        for recipe in self.recipes:
            await recipe.look()

    async def _usual(self) -> list[tuple[str, Answer]]:
        return await baseline(self.config.health, sql=self.sql(new=False), folder=self.folder, redact=self.redact)

    async def _unwell(self) -> str:
        return "; ".join(f"{a.what}: {a.reason}" for form, a in await self._usual() if form == NEVER)

    async def _well(self, checks: Sequence[Health], *, new: bool) -> None:
        await wait_well(
            checks, self.recipes, clock=self.ctx.clock, sql=self.sql(new=new), folder=self.folder, redact=self.redact,
            told=self.told,
        )  # fmt: skip

    async def _try_functions(self) -> None:
        """Create, read and delete a record: an application may answer to health checks and be unable to write."""
        probed = await try_functions(self.ctx)
        failed = [one for one in probed if not one.ok]
        if failed:
            raise StepFailed(
                f"The application does not do what it should: {failed[0].name}.",
                detail="\n".join(f"{one.name}: {one.reason}" for one in failed),
                hint="Look at the application's own log.",
                code="application_probe_failed",
            )


async def _reason(work: Awaitable[Any]) -> str:
    try:
        await work
    except StepFlowError as error:
        return f"{error.message} {error.detail}".strip()
    return ""
