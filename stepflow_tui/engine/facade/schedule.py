"""`backups schedule`: a systemd timer and a line for cron that make backups regularly. Prints texts, installs nothing."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticCustomError

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.config_units import parse_duration

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig

UNITS = "/etc/systemd/system"
MINUTE, HOUR, DAY, WEEK = 60, 3_600, 86_400, 604_800
_NAMED = {HOUR: "hourly", DAY: "*-*-* 03:00:00", WEEK: "Mon *-*-* 03:00:00"}


def schedule(loaded: LoadedConfig, state: Path, every: str) -> Mapping[str, Any]:
    """Texts for the time between two backups.

    Args:
        loaded: the config that is backed up.
        state: the state directory.
        every: `1d`, `6h`, `30m`; at least a minute.

    Returns:
        {name service timer cron variables[…] files{service timer} enable}; `cron` is "" where cron can't say such a time. `variables` are the names that
        the config takes from the environment: neither systemd nor cron has them by itself.

    Raises:
        UsageError: no such time, or a path that can't stand in a unit.
    """
    seconds = _seconds(every)
    words = [sys.executable, "-m", "stepflow_tui", "backups", "make", str(loaded.path)]
    words += ["--state-dir", str(StateDir.open(state, os.environ, create=False).path), "--yes"]
    if any("\n" in w or "\x00" in w for w in words):
        raise UsageError("A path holds a line break; no unit and no crontab can hold it.", code="schedule_path")
    name = f"stepflow-backup-{loaded.config.name}"
    variables = sorted(name for name in loaded.used_env if os.environ.get(name))  # the others stand in its own file
    return {
        "name": name,
        "service": _service(loaded, words, variables),
        "timer": _timer(loaded.config.name, seconds),
        "cron": _cron(words, seconds),
        "variables": variables,
        "files": {unit: f"{UNITS}/{name}.{unit}" for unit in ("service", "timer")},
        "enable": f"systemctl enable --now {name}.timer",
    }


def _seconds(every: str) -> int:
    try:
        seconds = float(parse_duration(every))
    except PydanticCustomError:
        seconds = 0.0
    if seconds < MINUTE or seconds % MINUTE:
        raise UsageError(
            f"--every {every!r} is not a time between backups.",
            hint="Whole minutes, such as 30m, 6h, 1d or 7d.",
            code="every",
        )
    return int(seconds)


def _service(loaded: LoadedConfig, words: list[str], variables: list[str]) -> str:
    needed = (
        [f"# The config needs: {', '.join(variables)}", "EnvironmentFile=/etc/stepflow/environment"]
        if variables
        else []
    )
    lines = [
        "[Unit]",
        f"Description=StepFlow backup of {loaded.config.name}",
        "",
        "[Service]",
        "Type=oneshot",
        f"WorkingDirectory={unit_text(str(loaded.path.parent))}",
        *needed,
        f"ExecStart={' '.join(unit_word(w) for w in words)}",
        "UMask=0077",
        "Nice=10",
    ]
    return "\n".join(lines) + "\n"


def unit_text(text: str) -> str:
    """A text of a unit, free of what systemd would replace."""
    return text.replace("%", "%%")


def unit_word(word: str) -> str:
    """A word of ExecStart: quoted, and free of what systemd would replace."""
    return '"' + unit_text(word).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$") + '"'


def _timer(name: str, seconds: int) -> str:
    at = f"OnCalendar={_NAMED[seconds]}" if seconds in _NAMED else f"OnBootSec=5min\nOnUnitActiveSec={seconds}"
    caught = "Persistent=true\n" if seconds in _NAMED else ""  # a machine that was off makes up for it
    return (
        f"[Unit]\nDescription=StepFlow backup of {name}, regularly\n\n"
        f"[Timer]\n{at}\n{caught}RandomizedDelaySec=60\n\n[Install]\nWantedBy=timers.target\n"
    )


def _cron(words: list[str], seconds: int) -> str:
    times = _cron_times(seconds)
    return f"{times} {shlex.join(words)}".replace("%", "\\%") if times else ""


def _cron_times(seconds: int) -> str:
    minutes, hours, days = seconds // MINUTE, seconds // HOUR, seconds // DAY
    if seconds == WEEK:
        return "0 3 * * 1"
    if seconds == DAY:
        return "0 3 * * *"
    if seconds == HOUR:
        return "0 * * * *"
    if seconds < HOUR and not 60 % minutes:
        return f"*/{minutes} * * * *"
    if seconds < DAY and not seconds % HOUR and not 24 % hours:
        return f"0 */{hours} * * *"
    return f"0 3 */{days} * *" if not seconds % DAY and days <= 15 else ""
