"""`run`: which run is meant, and starting, resuming or finding its engine."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.config import changed_keys
from stepflow_tui.engine.errors import Drift, Refused, StepFlowError, UsageError
from stepflow_tui.engine.journal import commands
from stepflow_tui.engine.journal.launch import StartLine, launch
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import RunEntry, StateDir, engine_alive, has_journal, operator
from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.playbooks.spec import check_phase
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.fingerprint import Fingerprint, fingerprint, same_content
from stepflow_tui.engine.steps.make_plan import APPROVED
from stepflow_tui.engine.steps.offline.window import standing_still

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What `start` did: `how` is started, resumed, attached or finished.

    `after` is the event to follow from, `ends` the one a finished run ended with (a rollback that was declined may stand
    behind it).
    """

    run: RunEntry
    how: str
    after: int
    exit_code: int | None = None
    ends: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """A plan given with `--plan`: its hash and the file's text."""

    hash: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the run is wanted."""

    until: str | None
    approved: Approved | None
    yes: bool
    confirm: str | None
    interactive: bool


async def start(
    loaded: LoadedConfig,
    *,
    state: Path,
    until: str | None,
    plan_file: Path | None,
    new: bool,
    yes: bool,
    confirm: str | None,
    interactive: bool,
) -> Started:
    """Start the run of a config, resume it, attach to it, or find it finished.

    Raises:
        UsageError: `--plan` on a live engine, a plan file that can't be read, a phase that the mode lacks.
        Refused: an unfinished run of that name has another config; the detail names the keys. `application_stands_still`: a
            new run is wanted while an unfinished one has the application stopped.
        Drift: the run that is meant carries out another plan than the one given.
        Held, EngineLost: the engine could not be started.
    """
    check_phase(playbook_for(loaded.config), until)
    approved = await asyncio.to_thread(_read_plan, plan_file) if plan_file is not None else None
    options = Options(until=until, approved=approved, yes=yes, confirm=confirm, interactive=interactive)
    folder = await asyncio.to_thread(StateDir.open, state, os.environ)
    named = [e for e in folder.runs(peek_state) if e.name == loaded.config.name]
    if not new:
        known = await _known(loaded, named, options)
        if known is not None:
            return known
    return await _new_run(loaded, folder, named, options)


async def _known(loaded: LoadedConfig, named: list[RunEntry], options: Options) -> Started | None:
    """An earlier run that is to go on, or whose result still holds."""
    unfinished = next((e for e in named if e.unfinished), None)
    if unfinished is not None:
        alive = engine_alive(unfinished.path)
        changed, touched = _differences(loaded, unfinished)
        if changed and (alive or touched):
            raise _config_changed(unfinished, changed)
        if alive:
            return await _attach(unfinished, options)
        if not changed and (touched or not await _source_replaced(loaded, unfinished)):
            return await _resume(loaded, unfinished, options)
        return None
    finished = named[0] if named else None
    if (
        finished is not None
        and finished.state in (RunState.COMPLETED, RunState.INCOMPLETE)
        and await _still_holds(loaded, finished)
    ):
        _refuse_other_plan(finished, options)
        with RunReader(finished.path) as reader:
            return _finished(finished, reader)
    return None


def _config_changed(entry: RunEntry, changed: list[str]) -> Refused:
    still = standing_still(entry.path)
    return Refused(
        f"The unfinished run {entry.id} has another config.",
        detail="\n".join(filter(None, (", ".join(changed), still))),
        hint=f"Put the old values back to go on with it, or start the old application now: `stepflow rollback {entry.id}`."
        if still
        else "Put the old values back to go on with it, roll it back, or start a new run with --new.",
        code="config_changed",
    )


def _refuse_beside(loaded: LoadedConfig, runs: list[RunEntry]) -> None:
    """A new run must not hide one whose application stands still: nobody would start that again.

    Raises:
        Refused: `application_stands_still`.
    """
    for entry in (e for e in runs if e.unfinished):
        if still := _stands_still(loaded, entry):
            raise Refused(
                f"The unfinished run {entry.id} has stopped the application: a new run can't begin.",
                detail=still,
                hint=f"Start the old application again first: `stepflow rollback {entry.id}`; or go on with that run.",
                code="application_stands_still",
            )


def _stands_still(loaded: LoadedConfig, entry: RunEntry) -> str:
    """Why the application of a run of this name, or of this source, does not work; "" where it does, or none began.

    A journal of another name that can't be read says nothing: it must not keep every other run from beginning.
    """
    try:
        row = _row(entry)
        same = row is not None and row["config"]["sides"].get("source.path") == loaded.sides["source.path"]
        named = row is not None and entry.name == loaded.config.name
        return standing_still(entry.path) if same or named else ""
    except StepFlowError:
        if entry.name == loaded.config.name:
            raise
        return ""


def _differences(loaded: LoadedConfig, entry: RunEntry) -> tuple[list[str], bool]:
    """Plan-relevant keys that differ, and whether the run has changed source or target already."""
    row = _row(entry)
    if row is None:
        return [], False
    kept: Mapping[str, Any] = row["config"]
    keys = [*changed_keys(kept["relevant"], loaded.plan_relevant), *changed_keys(kept["sides"], loaded.sides)]
    return keys, row["changed_ms"] is not None


def _row(entry: RunEntry) -> dict[str, Any] | None:
    try:
        with RunReader(entry.path) as reader:
            return reader.run()
    except StepFlowError as exc:
        if exc.code == "not_started":
            return None
        raise


async def _still_holds(loaded: LoadedConfig, entry: RunEntry) -> bool:
    """Same config, same source bytes as when the run looked at them."""
    changed, _ = _differences(loaded, entry)
    return not changed and await _same_source(loaded, entry) is True


async def _source_replaced(loaded: LoadedConfig, entry: RunEntry) -> bool:
    """Whether the source is another one than the run looked at: its backup, census and plan are about the old one then."""
    return await _same_source(loaded, entry) is False


async def _same_source(loaded: LoadedConfig, entry: RunEntry) -> bool | None:
    """Whether the source has the bytes it had when the run looked at it; None where that can't be told."""
    row = _row(entry)
    kept = {k: v for k, v in (row["source"] if row else {}).items() if k in Fingerprint.__dataclass_fields__}
    try:
        now = await fingerprint(real_path(loaded.config.source.path))
        return same_content(from_plain(Fingerprint, kept), now)
    except (StepFlowError, TypeError):
        return None


def _finished(entry: RunEntry, reader: RunReader) -> Started:
    """The share of the engine that finished the run, for a front end to replay with its ending."""
    run = reader.run() or {}
    end = reader.one(
        "SELECT max(seq) AS n FROM event WHERE code='run_finished' AND json_extract(data,'$.result')=?",
        (run["result"],),
    )
    ends = end["n"] if end else None
    begin = reader.one("SELECT max(seq) AS n FROM event WHERE code='run_started' AND seq<?", (ends or 0,))
    after = int(begin["n"]) - 1 if begin and begin["n"] else 0
    return Started(run=entry, how="finished", after=after, exit_code=run["exit_code"], ends=ends)


async def _attach(entry: RunEntry, options: Options) -> Started:
    if options.approved is not None:
        raise UsageError(
            f"The engine of {entry.id} runs already; it can't be given another plan.",
            hint="Attach without --plan, or abort the run first.",
            code="plan_on_live_engine",
        )
    who = operator(os.environ)
    if (
        options.yes
    ):  # on a run that waits at its `--until`, it goes on: one intent, so that the gate sees both or neither
        given = {"confirm": options.confirm, "until": options.until}
        await asyncio.to_thread(commands.send, entry.path, "yes", given, who=who)
    elif options.until is not None:
        await asyncio.to_thread(commands.send, entry.path, "until", {"phase": options.until}, who=who)
    return Started(run=entry, how="attached", after=0)


async def _resume(loaded: LoadedConfig, entry: RunEntry, options: Options) -> Started:
    with_journal = _row(entry) is not None
    after = 0
    if not _refuse_other_plan(entry, options):
        _give_plan(entry.path, options)
    if with_journal:
        with RunReader(entry.path) as reader:
            after = reader.max_seq()
    await _launch(loaded, entry.path, options)
    return Started(run=entry, how="resumed", after=after)


async def _new_run(loaded: LoadedConfig, folder: StateDir, named: list[RunEntry], options: Options) -> Started:
    """A new run, in a folder that waits for its first engine if there is one (a demo's, or one whose engine never began)."""
    _refuse_beside(loaded, folder.runs(peek_state))
    waiting = next((e for e in named if not has_journal(e.path) and not engine_alive(e.path)), None)
    path = waiting.path if waiting is not None else None
    if path is None:
        path = await asyncio.to_thread(folder.new_run, loaded.config.name, time.time_ns() // 1_000_000)
    (path / APPROVED).unlink(missing_ok=True)
    _give_plan(path, options)
    await _launch(loaded, path, options)
    return Started(run=folder.resolve(path.name, peek_state), how="started", after=0)


def _read_plan(path: Path) -> Approved:
    try:
        text = path.read_text(encoding="utf-8")
        plan: Plan = from_plain(Plan, json.loads(text))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
        raise UsageError(
            f"The plan file {path} can't be used.",
            detail=str(exc),
            hint="Make one with `stepflow plan --out FILE`.",
            code="plan_file",
        ) from exc
    return Approved(hash=plan.hash, text=text)


def _give_plan(run_dir: Path, options: Options) -> None:
    """Lay the approved plan into the run's folder, where the plan step looks for it."""
    if options.approved is None:
        return
    file = run_dir / APPROVED
    file.touch(mode=0o600)
    file.write_text(options.approved.text, encoding="utf-8")


def _refuse_other_plan(entry: RunEntry, options: Options) -> bool:
    """Whether the run has its plan already; if so, it must be the one that was given.

    Raises:
        Drift: it is another one.
    """
    made = (_row(entry) or {}).get("plan_hash")
    if options.approved is not None and made is not None and made != options.approved.hash:
        raise Drift(
            f"The run {entry.id} carries out another plan than the one given with --plan.",
            detail=f"hash {options.approved.hash} given, {made} in the run",
            hint="Leave --plan out to go on with the run's own plan, or start a new run with --new.",
            code="plan_drift",
        )
    return made is not None


async def _launch(loaded: LoadedConfig, path: Path, options: Options) -> None:
    line = StartLine(
        config=str(loaded.path),
        env=dict(loaded.used_env),
        yes=options.yes,
        confirm=options.confirm,
        until=options.until,
        interactive=options.interactive,
        who=operator(os.environ),
    )
    await asyncio.to_thread(launch, path, line)
