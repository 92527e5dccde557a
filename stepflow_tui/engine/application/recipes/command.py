"""Starts the application by a plain command, as a process of its own, and stops it by the number in its pid file.

Owns the order of things, and which of the two versions is in place; what a number means is decided in `pid_file.py`.

`pid_file` is written here. An application that makes itself a daemon (its command ends at once, with exit status 0) writes it
itself. The process of before is started again by its own command line, in its own folder and with its
own environment, or by `undo`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psutil

from stepflow_tui.engine.application.commands import Session, end_session
from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.calls import hiding, until
from stepflow_tui.engine.application.recipes.notes import BARE, OLDS, Notes
from stepflow_tui.engine.application.recipes.old_process import OldProcess, environment_of, old_process, variable_names
from stepflow_tui.engine.application.recipes.pid_file import Found, PidFile, Record
from stepflow_tui.engine.application.recipes.preparing import Preparing
from stepflow_tui.engine.application.recipes.process import Launched, Process, end, family, gone, launch, not_stopped
from stepflow_tui.engine.application.recipes.shell import Shell
from stepflow_tui.engine.application.streams import passed_environment
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.failpoints import failpoint
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact

STOP_SECONDS = 30.0
"""How long an application may take to end its requests after SIGTERM; less if `timeout` is less."""
SETTLE_SECONDS = 0.5
"""How long a started command is watched: one that can't start ends at once. Whether it is healthy is asked by others."""
DAEMON_SECONDS = 10.0
"""How long an application that made itself a daemon may take to write its pid file."""
LOG_BYTES = 16 << 20
"""A log of ours that has grown beyond this is put aside when the application is started; the one before it goes."""
_TAIL_BYTES = 256 << 10
_POLL_SECONDS = 0.02
_OF_A_SHELL = {
    "_",
    "PWD",
    "OLDPWD",
    "SHLVL",
    "TERM",
    "COLORTERM",
    "LS_COLORS",
    "LINES",
    "COLUMNS",
    "EDITOR",
    "PAGER",
    "PS1",
}
"""Variables of the shell an application was started from, which no application misses."""
OLD, NEW, BACK = "old", "new", "back"
"""Which version is in place: nothing was changed yet, the new one, the one of before again."""


class CommandRecipe(Preparing):
    """`kind: command`."""

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.command is not None
        self._config = config
        self._command = config.command
        self._folder = config.folder or folder
        self._notes = Notes(keep)
        self._shell = Shell(config, keep=keep, redact=redact)
        self._file = PidFile(config.pid_file or keep / "pid")
        self._log = config.log or self._file.path.with_name(f"{self._file.path.name}.log")
        self._stop_seconds = min(STOP_SECONDS, config.timeout)

    @property
    def name(self) -> str:
        """`command shop`, after its pid file."""
        return f"command {self._file.path.stem if self._config.pid_file else self._folder.name}"

    async def look(self) -> Before:
        """Record what runs, and keep how it can be started again.

        Raises:
            StepFailed: `recipe_pid_file`, `recipe_pid_foreign`, `recipe_old_unknown`, `recipe_other_user`.
        """
        if self._config.pid_file is None and self._config.stop is None:
            raise _no_pid_file(self.name)
        found = await asyncio.to_thread(self._file.read)
        if found.foreign:
            raise _foreign(found)
        if self._config.pid_file is not None and await asyncio.to_thread(self._file.record) is None:
            self._notes.set(**{BARE: str(self._file.path)})
        if found.process is None:
            return {"running": False, "what": "no process", "why": found.why}
        old = await asyncio.to_thread(self._old, found.process, found.record)
        if old is not None:
            kept = {_key(found.process.pid, found.process.mark): asdict(old)}
            self._notes.set(**{OLDS: {**self._notes.read().get(OLDS, {}), **kept}})
        shown = self._shell.redact(old.command) if old else None
        return {"running": True, "what": f"process {found.process.pid}", "pid": found.process.pid,
                "mark": found.process.mark, "command": shown, "folder": old and old.folder,
                "variables": variable_names(found.process)}  # fmt: skip

    def planned(self) -> Sequence[Planned]:
        """The commands, and how what runs now is started again."""
        config, shown = self._config, self._shell.redact
        by_pid = f"SIGTERM to the process in {self._file.path} and to all it started, SIGKILL after {self._stop_seconds:.0f} s"
        again = (
            "start the process of before by its own command line, in its own folder, with its own environment "
            "(kept in a private file of this run)"
        )
        build = (Planned(action="build", text=shown(config.build)),) if config.build else ()
        return (
            Planned(action="stop", text=shown(config.stop) if config.stop else by_pid),
            *build,
            Planned(
                action="start", text=f"{shown(self._command)}  (in {self._folder}, its output goes to {self._log})"
            ),
            Planned(action="undo", text=shown(config.undo) if config.undo else again),
        )

    async def stop(self, before: Before) -> None:
        """Stop what runs by the pid file, what ran before, and what was started here.

        Raises:
            StepFailed: `recipe_not_stopped`, `recipe_stop_failed`, `recipe_permission`, `recipe_pid_foreign`.
        """
        running = await asyncio.to_thread(self._running, before)
        if self._config.stop is not None and (running or self._config.pid_file is None):
            members = [m for p in running for m in await asyncio.to_thread(family, p)]
            what = f"Stopping {self.name}"
            await self._shell.must(self._config.stop, what, folder=self._folder, code="recipe_stop_failed")
            if not await gone(members, self._stop_seconds):
                raise not_stopped(members)
        for process in running:
            await end(process, self._stop_seconds)
            await asyncio.to_thread(self._file.remove, process)
        await self._end_rest()
        self._notes.set(begun=None, pid=None)

    async def deploy(self, before: Before) -> None:
        """The new command is in place from now on; `build` is run."""
        self._notes.set(side=NEW)
        await self._build()

    async def start(self, before: Before) -> None:
        """Start the command, or what ran before if that was put back. Does nothing if it was started already.

        Raises:
            StepFailed: `recipe_start_failed`, `recipe_still_running`, `recipe_undo_failed`.
        """
        notes = self._notes.read()
        side = notes.get("side", OLD)
        found = await asyncio.to_thread(self._file.read)
        if found.process is not None:
            if notes.get("begun") != side:
                raise _still_running(found.process)
            return
        self._notes.set(begun=side)
        if side == NEW:
            await self._launch(OldProcess(command=self._command, folder=str(self._folder)))
        elif self._config.undo is not None:
            await self._shell.must(self._config.undo, f"The undo of {self.name}", folder=self._folder, code="recipe_undo_failed")  # fmt: skip
        elif before["running"]:
            old = notes.get(OLDS, {}).get(_key(before["pid"], before["mark"]))
            if old is None:
                raise _forgotten(self.name)
            await self._launch(OldProcess(**old), had=before["variables"])
        elif self._config.pid_file is None:
            await self._launch(OldProcess(command=self._command, folder=str(self._folder)))

    async def put_back(self, before: Before) -> None:
        """What ran before is in place from now on; what was built is built again, by the settings of before."""
        if self._notes.read().get("side") == NEW:
            await self._build()
        self._notes.set(side=BACK)

    async def standing(self) -> Standing | None:
        """The process."""
        found = await asyncio.to_thread(self._file.read)
        if found.process is None:
            return Standing(running=False, what="no process")
        return Standing(
            running=True, what=f"process {found.process.pid}", pid=found.process.pid, since=_since(found.process)
        )

    async def log_tail(self, lines: int = 50) -> str:
        """What the newest start printed, without the secrets of its own environment."""
        return await asyncio.to_thread(lambda: self._hidden(self._tail(lines)))

    async def variables(self) -> Sequence[str]:
        """Names of the process's environment; if none runs, of the one a start would get."""
        found = await asyncio.to_thread(self._file.read)
        if found.process is not None:
            return variable_names(found.process)
        return sorted({*passed_environment(), *self._shell.env})

    def _old(self, process: Process, record: Record | None) -> OldProcess | None:
        """How it is started again; None where `undo` does that."""
        if self._config.undo is not None:
            return None
        if record is not None:
            return OldProcess(command=record.command, folder=record.folder, environment=environment_of(process))
        return old_process(process)

    def _running(self, before: Before) -> list[Process]:
        """All that must end. A number that was the application's and belongs to another one now is nothing to stop."""
        found = self._file.read()
        known = [found.process, _of(before.get("pid"), before.get("mark"))]
        notes = self._notes.read()
        known.append(_of(notes.get("pid"), notes.get("mark")))
        if found.foreign and not any(p is not None and p.pid == found.pid for p in known):
            raise _foreign(found)
        return [p for p in dict.fromkeys(known) if p is not None and p.runs]

    async def _build(self) -> None:
        if self._config.build is not None:
            what = f"The build of {self.name}"
            await self._shell.must(self._config.build, what, folder=self._folder, code="recipe_build_failed")

    async def _launch(self, what: OldProcess, had: Sequence[str] = ()) -> None:
        await asyncio.to_thread(self._put_log_aside)
        begin = self._log.stat().st_size if self._log.is_file() else 0

        def note(process: Process, token: str) -> None:
            self._notes.set(pid=process.pid, mark=process.mark, token=token)
            self._file.write(Record(
                pid=process.pid, mark=process.mark, token=token, command=what.command, folder=what.folder, log_from=begin
            ))  # fmt: skip

        launched = await asyncio.to_thread(
            launch,
            what.command,
            folder=Path(what.folder),
            env={**passed_environment(), **self._shell.env} if what.environment is None else what.environment,
            log=self._log,
            note=note,
            umask=what.umask,
        )
        failpoint("recipe_command_launched")
        lost = set(had) - passed_environment().keys() - self._shell.env.keys() - _OF_A_SHELL
        await self._stays(launched, lost if what.environment is None else set())

    async def _stays(self, launched: Launched, lost: set[str]) -> None:
        """Watch it for a moment; one that makes itself a daemon ends, and is found by the pid file it wrote."""

        async def ended() -> bool:
            return launched.status is not None

        async def named() -> bool:
            return (await asyncio.to_thread(self._file.read)).process is not None

        if not await until(ended, SETTLE_SECONDS, _POLL_SECONDS):
            return
        status = launched.status or 0
        if status == 0 and await until(named, DAEMON_SECONDS, _POLL_SECONDS):
            return
        await self._end_rest()
        raise self._not_started(status, lost)

    async def _end_rest(self) -> None:
        """What the command that was started here left in its session."""
        notes = self._notes.read()
        if notes.get("pid"):
            await end_session(Session(id=int(notes["pid"]), token=str(notes["token"])))

    def _not_started(self, status: int, lost: set[str]) -> StepFailed:
        how = f"ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
        had = f"; it had variables that it did not get now: {', '.join(sorted(lost))}" if lost else ""
        daemon = f"; {self._file.path} names no process that runs" if status == 0 else ""
        return StepFailed(
            f"The application did not start: {self.name} {how}{daemon}.",
            detail=f"its output is in {self._log}{had}",
            hint="Correct what its log says. `command` runs in the foreground, or writes `pid_file` itself and ends with 0.",
            code="recipe_start_failed",
        )

    def _put_log_aside(self) -> None:
        """A log that the config names is looked after by whoever named it."""
        if self._config.log is None and self._log.is_file() and self._log.stat().st_size > LOG_BYTES:
            self._log.replace(self._log.with_name(f"{self._log.name}.1"))

    def _hidden(self, text: str) -> str:
        found = self._file.read().process
        kept = [environment_of(found) or {}] if found is not None else []
        kept += [old.get("environment") or {} for old in self._notes.read().get(OLDS, {}).values()]
        for values in kept:
            text = hiding(lambda t: t, values)(text)
        return text

    def _tail(self, lines: int) -> str:
        record = self._file.record()
        try:
            with self._log.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                begin = record.log_from if record is not None and record.log_from <= size else 0
                file.seek(max(begin, size - _TAIL_BYTES))
                text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:]) if lines > 0 else ""


def _of(pid: object, mark: object) -> Process | None:
    return Process(pid=pid, mark=mark) if isinstance(pid, int) and isinstance(mark, str) else None


def _key(pid: object, mark: object) -> str:
    return f"{pid} {mark}"


def _since(process: Process) -> float | None:
    try:
        return psutil.Process(process.pid).create_time()
    except psutil.Error:
        return None


def _no_pid_file(name: str) -> StepFailed:
    return StepFailed(
        f"It can't be known what runs now: {name} has no `pid_file`.",
        detail="a process is stopped by its number, never by its name",
        hint="Give the recipe `pid_file: ./shop.pid` (it need not exist if nothing runs), or a `stop` command.",
        code="recipe_pid_file",
    )


def _forgotten(name: str) -> StepFailed:
    return StepFailed(
        f"How the application of before was started is not kept any more ({name}).",
        detail="it is dropped when nobody is to go back",
        hint="Start it by hand, and write its number into the pid file.",
        code="recipe_old_unknown",
    )


def _foreign(found: Found) -> StepFailed:
    return StepFailed(
        "The pid file names a process that is not the application.",
        detail=found.why,
        hint="Write the application's number into the file, or remove the file if it does not run.",
        code="recipe_pid_foreign",
    )


def _still_running(process: Process) -> StepFailed:
    return StepFailed(
        f"The application was not started: process {process.pid} runs already.",
        detail="it was started by somebody else since the application was stopped",
        hint="Stop it, and see that nothing starts it again meanwhile; then `stepflow run` again.",
        code="recipe_still_running",
    )
