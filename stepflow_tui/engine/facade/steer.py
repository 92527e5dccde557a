"""Steering a run: one intent appended, its answer awaited, an engine started where none lives."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import EngineLost, ExitCode, Held, Refused, StepFlowError, UsageError
from stepflow_tui.engine.facade.look import HasRun
from stepflow_tui.engine.intents import ENDING, PRESENT
from stepflow_tui.engine.journal import commands
from stepflow_tui.engine.journal.launch import StartLine, launch
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.journal.rundir import engine_alive, operator
from stepflow_tui.engine.lease import VERBS as LEASE
from stepflow_tui.engine.model.state import UNFINISHED, PhaseName, RunState, StepState

ANSWER_SECONDS = 30.0
LOOK_SECONDS = 0.05
GOING_BACK = frozenset({"rollback", "abort"})
"""What must work although somebody has edited the config."""
ALIVE_ONLY = LEASE | PRESENT
"""Nobody starts an engine for these."""


async def send(
    run: HasRun,
    verb: str,
    args: Mapping[str, Any],
    *,
    state: Path,
    take_control: bool = False,
    front: str = "",
    env: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """Append an intent, start an engine if none lives, wait for the answer.

    Args:
        run: the run.
        verb, args: what is wanted.
        state: the state directory.
        take_control: take the control lease from whoever holds it.
        front: the terminal of a front end that stays; it holds control apart from the person's other terminals.
        env: variables for the config, where they are not those of this process (a password typed in the wizard).

    Returns:
        `{state: accepted|done, answer, after}`; `after` is the event to follow from.

    Raises:
        StepFlowError: the engine refused it, with its own message, hint and exit code.
        EngineLost: nobody answered.
    """
    if verb in ALIVE_ONLY and not engine_alive(run.path):
        raise _no_engine(run) if verb in LEASE else _no_rehearsal(run)
    with RunReader(run.path) as reader:
        after = reader.max_seq()
    # before the intent is written: one whose engine can't be started must not lie there for a later engine to take
    back = verb in GOING_BACK
    used = None if engine_alive(run.path) else _used_env(run, env, back=back)
    sent = {**args, "take": True} if take_control else dict(args)
    who = sender(front)
    number = await asyncio.to_thread(commands.send, run.path, verb, sent, who=who)
    alone = not engine_alive(run.path)
    if alone and verb not in ALIVE_ONLY:
        await _start_engine(run, who, used if used is not None else _used_env(run, env, back=back), back=back)
    row = await _answer(run, number, after)
    if alone and verb in ENDING:
        await _ended(run)
    if row["state"] == "refused":
        raise _refused(row["answer"] or {})
    return {"state": row["state"], "answer": row["answer"] or {}, "after": after}


def sender(front: str = "") -> str:
    """Under which name a front end sends and holds control: the person, and the terminal of one that stays."""
    return f"{operator(os.environ)} at {front}" if front else operator(os.environ)


def _no_engine(run: HasRun) -> Refused:
    return Refused(
        f"No engine works on {run.id}, so there is nothing to steer.",
        hint="`stepflow status` shows how the run stands.",
        code="no_engine",
    )


def _no_rehearsal(run: HasRun) -> StepFlowError:
    """Why the cutover of a run without an engine can't be rehearsed: both sides have to be kept equal for it."""
    with RunReader(run.path) as reader:
        row, phases = reader.run() or {}, {p["name"]: p["state"] for p in reader.phases()}
    ahead = [p for p in (PhaseName.SWITCH_READS, PhaseName.CUTOVER) if phases.get(p) != StepState.DONE]
    if PhaseName.SWITCH_READS not in phases:
        return UsageError(
            f"rehearse can't be done in a {row.get('kind')} run in mode {row.get('mode')}.",
            hint="Only runs in mode live move reads and writes one after the other.",
            code="no_such_intent",
        )
    state = RunState(row["state"])
    if state not in UNFINISHED or phases.get(PhaseName.VALIDATE) != StepState.DONE or PhaseName.CUTOVER not in ahead:
        return Refused(
            f"The cutover is rehearsed between verification and cutover; this run is {state}.",
            hint="`stepflow status` shows where the run is.",
            code="no_rehearsal_now",
        )
    return Refused(
        f"No engine works on {run.id}, so nothing keeps both sides equal, and there is nothing to rehearse.",
        hint=f"`stepflow run {row['config_path']} --until {ahead[0]}` starts one that waits there; then rehearse.",
        code="no_engine",
    )


def _used_env(run: HasRun, env: Mapping[str, str] | None, *, back: bool) -> Mapping[str, str]:
    """The variables that the run's config uses."""
    with RunReader(run.path) as reader:
        row = reader.run() or {}
    path, variables = Path(row["config_path"]), env if env is not None else os.environ
    if not back:
        return load_config(path, variables).used_env
    from stepflow_tui.engine.steps.application.kept_config import config_to_go_back  # knows every recipe

    return config_to_go_back(run.path, path, variables).used_env


async def _start_engine(run: HasRun, who: str, used: Mapping[str, str], *, back: bool) -> None:
    """Start an engine for intents; somebody else may have been faster, which is as good."""
    line = StartLine(env=dict(used), going_back=back, command_only=True, who=who)
    try:
        await asyncio.to_thread(launch, run.path, line)
    except Held:
        return


async def _answer(run: HasRun, number: int, after: int) -> dict[str, Any]:
    """The intent's row once it is answered. An engine that ended without taking it has said why, or is lost."""
    deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
    with RunReader(run.path) as reader:
        while asyncio.get_running_loop().time() < deadline:
            alive = engine_alive(run.path)
            row = reader.command(number)
            if row is not None and row["state"] != "new":
                return row
            if not alive:
                break
            await asyncio.sleep(LOOK_SECONDS)
        said = [e["data"] for e in reader.events(after) if e["code"] == "error"]
    if said:
        raise EngineRefusal(said[-1])
    raise EngineLost(
        f"The engine of {run.id} did not answer.",
        hint="`stepflow status` shows whether it lives; send it again.",
        code="no_answer",
    )


async def _ended(run: HasRun) -> None:
    """Wait for the end of an engine that was started for this intent only: its last act is to rewrite the report."""
    deadline = asyncio.get_running_loop().time() + ANSWER_SECONDS
    while engine_alive(run.path) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - another process ends
        await asyncio.sleep(LOOK_SECONDS)


class EngineRefusal(StepFlowError):
    """The engine's own words, with the exit code it gave."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__(
            str(answer.get("message", "The engine refused it.")),
            detail=str(answer.get("detail") or ""),
            hint=str(answer.get("hint") or ""),
            code=str(answer.get("code") or "refused"),
        )
        self.exit_code = ExitCode(int(answer.get("exit_code", ExitCode.REFUSED)))


def _refused(answer: Mapping[str, Any]) -> StepFlowError:
    return EngineRefusal(answer)
