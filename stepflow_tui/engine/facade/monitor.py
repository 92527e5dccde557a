"""`monitor`: looks again and again at an application and its database, and tells what breaks its limits."""

from __future__ import annotations

import asyncio
import os
import pwd
import sys
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from stepflow_tui.engine.errors import ExitCode, StepFlowError, UsageError
from stepflow_tui.engine.facade.look import list_runs
from stepflow_tui.engine.facade.monitor_alerts import Alerts
from stepflow_tui.engine.facade.monitor_look import Observer
from stepflow_tui.engine.facade.schedule import UNITS, unit_text, unit_word
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.config_units import parse_duration

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

SHORTEST_SECONDS = 0.1


async def monitor(
    loaded: LoadedConfig, state: Path, *, every: str | None = None, lasting: str | None = None, once: bool = False
) -> AsyncGenerator[Mapping[str, Any], None]:
    """Look until the time is over, or for ever. Changes nothing, and takes no lock that a writer would wait for.

    Args:
        loaded: the config.
        state: the state directory.
        every: time between two looks (`30s`); the config's `monitor.every` if left out.
        lasting: how long to look (`10m`).
        once: one look.

    Yields:
        {event: look, time, alerts[codes that stand], exit_code, …as `Observer.look`}, and after the look that calls for it
        {event: alert or alert_cleared, time, code, key, since, params}. `exit_code`: what ending now would mean, 0, or 4
        while an alert stands.

    Raises:
        UsageError: a time that is none.
    """
    pause = loaded.config.monitor.every if every is None else seconds_of(every, "--every")
    loop = asyncio.get_running_loop()
    end = None if lasting is None else loop.time() + seconds_of(lasting, "--for")
    alerts = Alerts(loaded.config, expects_wal=was_converted(loaded, state))
    observer = Observer(loaded, state, single=once)
    await observer.start()
    try:
        while True:
            next_look = loop.time() + pause
            look = await observer.look()
            events = alerts.judge(look)
            code = ExitCode.REFUSED if alerts.standing else ExitCode.OK
            yield {**look, "alerts": alerts.standing, "exit_code": int(code)}
            for event in events:
                yield event
            if once or (end is not None and next_look >= end):
                return
            await asyncio.sleep(max(0.0, next_look - loop.time()))
    finally:
        await observer.close()


def seconds_of(text: str, option: str) -> float:
    """A time as an option gives it. Raises UsageError."""
    try:
        seconds = float(parse_duration(text))
    except PydanticCustomError:
        seconds = 0.0
    if seconds < SHORTEST_SECONDS:
        raise UsageError(f"{option} {text!r} is not a time.", hint="Such as 30s, 5m, 1h.", code="duration")
    return seconds


def was_converted(loaded: LoadedConfig, state: Path) -> bool:
    """Whether a run of this config has ended well, so that the database should be in WAL mode."""
    if not loaded.config.in_place:
        return False
    try:
        runs = list_runs(state)
    except StepFlowError:
        return False
    newest = next((r for r in runs if r["name"] == loaded.config.name and r["result"] is not None), None)
    return newest is not None and newest["kind"] == loaded.config.kind.value and newest["result"] == "completed"


def monitor_unit(loaded: LoadedConfig, state: Path, every: str | None = None) -> Mapping[str, Any]:
    """A systemd unit that keeps the monitor running. Installs nothing.

    Returns:
        {name service file variables[…] user enable}. `user` is the owner of the database's file: run as somebody else, the
        monitor could not read it, or could leave files behind that the application can't open.

    Raises:
        UsageError: no such time, or a path that can't stand in a unit.
    """
    words = [sys.executable, "-m", "stepflow_tui", "monitor", str(loaded.path)]
    words += ["--every", every] if every is not None and seconds_of(every, "--every") else []
    words += ["--state-dir", str(StateDir.open(state, os.environ, create=False).path), "--plain"]
    if any("\n" in w or "\x00" in w for w in words):
        raise UsageError("A path holds a line break; no unit can hold it.", code="schedule_path")
    name = f"stepflow-monitor-{loaded.config.name}"
    variables = sorted(n for n in loaded.used_env if os.environ.get(n))
    user = _owner(loaded.config.source.path)
    return {
        "name": name,
        "service": _service(loaded, words, variables, user),
        "file": f"{UNITS}/{name}.service",
        "variables": variables,
        "user": user,
        "enable": f"systemctl enable --now {name}.service",
    }


def _service(loaded: LoadedConfig, words: list[str], variables: list[str], user: str) -> str:
    needed = [f"# The config needs: {', '.join(variables)}", "EnvironmentFile=/etc/stepflow/environment"]
    lines = [
        "[Unit]",
        f"Description=StepFlow monitor of {loaded.config.name}",
        "After=network.target",
        "",
        "[Service]",
        "Type=exec",
        *([f"User={user}"] if user else []),
        f"WorkingDirectory={unit_text(str(loaded.path.parent))}",
        *(needed if variables else []),
        f"ExecStart={' '.join(unit_word(w) for w in words)}",
        "# 2: the config can't be used; starting again would not help",
        "Restart=on-failure",
        "RestartSec=10",
        "RestartPreventExitStatus=2",
        "SuccessExitStatus=143",
        "UMask=0077",
        "Nice=10",
        "NoNewPrivileges=true",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _owner(path: Path) -> str:
    try:
        return pwd.getpwuid(path.stat().st_uid).pw_name
    except (OSError, KeyError):
        return ""
