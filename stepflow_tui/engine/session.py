"""One engine's session on a run: journal, lease, heartbeat, bell, and the decision what to do."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from stepflow_tui import __version__
from stepflow_tui.engine.alerts import watch
from stepflow_tui.engine.config import LoadedConfig
from stepflow_tui.engine.control import EngineControl, Wish
from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.intents import Desk
from stepflow_tui.engine.journal.audit import load_key
from stepflow_tui.engine.journal.clock import SystemClock
from stepflow_tui.engine.journal.launch import StartLine
from stepflow_tui.engine.journal.runs import NewRun, versions
from stepflow_tui.engine.journal.store import Journal
from stepflow_tui.engine.model import dsn_words
from stepflow_tui.engine.model.alert import Alert
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.events import EventCode
from stepflow_tui.engine.model.liveness import engine_lost
from stepflow_tui.engine.model.redact import Redact, redactor
from stepflow_tui.engine.model.state import UNFINISHED, RunState
from stepflow_tui.engine.playbooks.spec import Playbook, check_phase
from stepflow_tui.engine.runner import Runner, WriteReport
from stepflow_tui.engine.steps.context import Answers, RunContext
from stepflow_tui.engine.steps.same_config import ON_HINT, refuse_other_config
from stepflow_tui.engine.steps.services import Services

BEAT_SECONDS = 1.0
BELL_SECONDS = 0.1
LOOK_EVERY_BEATS = 5

Share = Callable[[], Awaitable[int]]
"""What an engine does for its run; returns the exit code."""

_SECRET_WORDS = ("PASS", "PW", "SECRET", "TOKEN", "KEY", "DSN", "URL", "URI", "CREDENTIAL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What an engine is put together from: config loader, playbook by config, report writer."""

    load_config: Callable[[Path, Mapping[str, str]], LoadedConfig]
    playbook_for: Callable[[Config], Playbook]
    write_report: WriteReport


def secrets_of(loaded: LoadedConfig, piped: Mapping[str, str]) -> Redact:
    """The redaction of this engine: variables that sound secret, and every password inside a URI.

    Other variables stay: blotting out a host or a database name would make the journal unreadable.
    """
    variables = dict(loaded.used_env) | dict(piped)
    known = {v for k, v in variables.items() if any(word in k.upper() for word in _SECRET_WORDS)}
    dsn = loaded.config.target.dsn
    texts = {*variables.values(), dsn.get_secret_value() if dsn is not None else ""}
    parts = {p for text in texts for p in _passwords(text)}
    known |= parts | {unquote(p) for p in parts} | {text for text in texts if _passwords(text)}
    return redactor(known | {os.environ.get("PGPASSWORD", "")})


def _passwords(text: str) -> set[str]:
    """Passwords inside an address: before the host, as a parameter, or as libpq's keyword."""
    if found := dsn_words.secrets_in(text):
        return found
    try:
        parts = urlsplit(text) if "://" in text else None
    except ValueError:
        return set()
    if parts is None:
        return set()
    asked = (pair.partition("=") for pair in parts.query.split("&"))
    return {p for p in (parts.password, *(value for key, _, value in asked if key == "password")) if p}


@dataclass(slots=True, kw_only=True)
class Session:
    """One engine. `ready` is called with the epoch once intents can be answered."""

    run_dir: Path
    start: StartLine
    loaded: LoadedConfig
    wiring: Wiring
    redact: Redact
    ready: Callable[[int], None]
    lost: Alert | None = None

    async def serve(self) -> int:
        """Work until the run's share of this engine has ended.

        Returns:
            The exit code.
        """
        playbook = self.wiring.playbook_for(self.loaded.config)
        check_phase(playbook, self.start.until)
        async with (
            await Journal.open(self.run_dir, SystemClock(), self.redact) as journal,
            AsyncExitStack() as resources,
        ):
            control = EngineControl(journal)
            ctx = await self._begin(journal, control, resources)
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, control.end, Wish.STOP)
            runner = Runner(ctx, playbook, control, self.wiring.write_report)
            desk = Desk(ctx=ctx, playbook=playbook, control=control, runner=runner)
            share = await self._look(ctx, desk)
            self.ready(ctx.epoch)
            return await self._work(ctx, desk, share)

    async def _look(self, ctx: RunContext, desk: Desk) -> Share:
        """Answer what was asked before this engine came up, and choose what it does.

        Done before the front end hears `ready`: from then on there is a running run that can be paused.
        """
        try:
            await desk.runner.prepare()
            if self.start.command_only:
                await self._tell_loss(ctx.journal)  # before the intents: one of them may acknowledge it
            await desk.take()
            return await self._choose(ctx, desk)
        except Drift as exc:
            return partial(desk.runner.fail, exc)

    async def _choose(self, ctx: RunContext, desk: Desk) -> Share:
        """Go forward, back, or only answer what was asked."""
        journal = ctx.journal
        state = await journal.state()
        if state is RunState.ROLLING_BACK and desk.control.wish is Wish.NONE:
            last = await journal.last_accepted("rollback")
            desk.runner.go_back(last.args.get("to") if last else None)
        turned = desk.control.wish in (Wish.ABORT, Wish.ROLLBACK)
        if not turned and (self.start.command_only and not desk.goes_on):
            return partial(self._only_answered, desk, state)
        if not turned and state not in UNFINISHED:
            return partial(self._finished, journal)
        await journal.restart()
        if not turned:
            await refuse_other_config(ctx, ON_HINT)
            await journal.set_state(RunState.RUNNING)
        await self._tell_start(ctx)
        return desk.runner.run

    async def _work(self, ctx: RunContext, desk: Desk, share: Share) -> int:
        background = [
            _background(_pulse(ctx.journal, ctx.epoch), desk.control),
            _background(_bell(ctx.journal, desk), desk.control),
        ]
        try:
            code = await share()
            await desk.settle()
            return code
        finally:
            await ctx.services.stop()  # before the connections they use are closed
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)

    async def _only_answered(self, desk: Desk, state: RunState) -> int:
        rest = {RunState.PAUSING: RunState.PAUSED, RunState.RUNNING: RunState.PENDING}.get(state)
        if rest is not None:  # nobody works on it: the next look must not take it for a run whose engine was lost
            await desk.ctx.journal.set_state(rest)
        await self._end_loss(desk.ctx.journal)
        return await desk.runner.write_report()

    async def _finished(self, journal: Journal) -> int:
        run = await journal.run_row()
        return int((run or {}).get("exit_code") or 0)

    async def _begin(self, journal: Journal, control: EngineControl, resources: AsyncExitStack) -> RunContext:
        state_dir = self.run_dir.parent.parent
        key = load_key(state_dir, create=True)
        assert key is not None
        journal.use_audit_key(key, socket.gethostname())
        await journal.create_run(self._new_run())
        self.lost = await self._loss(journal)
        epoch = await journal.take_engine_lease(f"{os.getpid()}@{socket.gethostname()}")
        start = self.start
        await journal.load_gauges()
        services = Services(partial(control.end, Wish.FAIL))
        ctx = RunContext(
            loaded=self.loaded,
            run_id=self.run_dir.name,
            run_dir=self.run_dir,
            state_dir=state_dir,
            journal=journal,
            control=control,
            clock=journal.clock,
            epoch=epoch,
            answers=Answers(
                yes=start.yes, confirm=start.confirm, interactive=start.interactive, until=start.until, who=start.who
            ),
            resources=resources,
        )
        ctx.services = services
        return ctx

    def _new_run(self) -> NewRun:
        config = self.loaded.config
        return NewRun(
            id=self.run_dir.name,
            name=config.name,
            kind=config.kind.value,
            mode=config.mode.value,
            environment=config.environment,
            config_hash=self.loaded.text_hash,
            config={
                "text": self.loaded.redacted,
                "relevant": self.loaded.plan_relevant,
                "sides": self.loaded.sides,
            },
            config_path=str(self.loaded.path),
            tool=__version__,
            versions=versions(),
        )

    async def _loss(self, journal: Journal) -> Alert | None:
        """The engine before this one died without a word: nobody else can journal that."""
        run = await journal.run_row()
        assert run is not None
        lost = engine_lost(RunState(run["state"]), run["result"], alive=False, heartbeat_seconds=None)
        return lost if run["epoch"] > 0 else None

    async def _tell_loss(self, journal: Journal) -> None:
        if self.lost is not None:
            await journal.raise_alert(self.lost)

    async def _end_loss(self, journal: Journal) -> None:
        if self.lost is not None:
            await journal.resolve_alert(self.lost.code, self.lost.key)

    async def _tell_start(self, ctx: RunContext) -> None:
        config = self.loaded.config
        data = {
            "name": config.name,
            "kind": config.kind.value,
            "mode": config.mode.value,
            "environment": config.environment,
            "epoch": ctx.epoch,
            "resumed": ctx.epoch > 1,
            "tool": __version__,
        }
        await ctx.journal.event(EventCode.RUN_STARTED, data)
        await ctx.journal.audit(self.start.who, "engine started", {"epoch": ctx.epoch, "yes": self.start.yes})
        if not self.start.command_only:
            await self._tell_loss(ctx.journal)
        await self._end_loss(ctx.journal)


async def _pulse(journal: Journal, epoch: int) -> None:
    """Heartbeat and progress every second, a look at the alert rules every few."""
    beats, watched = 0, watch.Watched()
    while True:
        await journal.beat(epoch)
        await journal.flush_progress()
        if beats % LOOK_EVERY_BEATS == 0:
            await watch.look(journal, watched)
        beats += 1
        await journal.clock.sleep(BEAT_SECONDS)


async def _bell(journal: Journal, desk: Desk) -> None:
    """Take intents as they come: the writer's `data_version` moves only when somebody else wrote."""
    while True:
        await journal.clock.sleep(BELL_SECONDS)
        if await journal.bell():
            await desk.take()


def _background(work: Coroutine[Any, Any, None], control: EngineControl) -> asyncio.Task[None]:
    """A task whose failure ends the run: an engine that can't write its journal must not go on working."""
    task = asyncio.create_task(work)

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            control.end(Wish.FAIL, error)

    task.add_done_callback(ended)
    return task
