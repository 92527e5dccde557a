"""Stops and starts a unit of systemd, with the sockets and timers that would wake it and the units that go down with it.

Owns the order of commands; what `systemctl show` tells is read in `systemd_unit.py`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from stepflow_tui.engine.application.recipes.base import Before, Planned, Standing
from stepflow_tui.engine.application.recipes.calls import Calls, hiding, newest, until
from stepflow_tui.engine.application.recipes.preparing import Preparing
from stepflow_tui.engine.application.recipes.systemd_unit import (
    PROPERTIES,
    Unit,
    environment_of,
    leftovers,
    read_unit,
    refuse_unusable,
    unit_name,
)
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config_application import Recipe
from stepflow_tui.engine.model.redact import Redact

DOWN_SECONDS = 30.0
"""How long a unit may take to be down after `systemctl stop`, which waits itself, has said that it is."""
SETTLE_SECONDS = 1.0
"""How long a unit that counts as started at once (`Type=simple`) has to stay up before it is believed."""


class SystemdRecipe(Preparing):
    """`kind: systemd`. It deploys nothing: the unit runs whatever its files and settings say when it starts."""

    def __init__(self, config: Recipe, *, folder: Path, keep: Path, redact: Redact) -> None:
        assert config.unit is not None
        self._unit = unit_name(config.unit)
        self._user = ("--user",) if config.user else ()
        self._calls = Calls(config, folder=folder, redact=redact, denied=_denied(self._unit, config.user), away=_AWAY)
        runtime = f"/run/user/{os.geteuid()}"
        if config.user and "XDG_RUNTIME_DIR" not in os.environ and Path(runtime).is_dir():
            self._calls.env.setdefault("XDG_RUNTIME_DIR", runtime)  # sudo and cron leave it out

    @property
    def name(self) -> str:
        """`systemd shop.service`."""
        return f"systemd {self._unit}"

    async def look(self) -> Before:
        """Record whether it runs, what would wake it, and what goes down with it."""
        unit = await self._show(self._unit)
        refuse_unusable(unit, self._unit, user=bool(self._user))
        wakers = [n for n in unit.triggered_by if (await self._show(n)).up]
        along = await self._depending(unit)
        return {"unit": unit.id or self._unit, "running": unit.running, "state": unit.state, "pid": unit.pid,
                "wakers": wakers, "along": along, "cgroup": unit.cgroup}  # fmt: skip

    def planned(self) -> Sequence[Planned]:
        """The commands; sockets, timers and depending units that are active are found when it begins."""
        stop, start = (self._calls.shown(self._argv(verb, self._unit)) for verb in ("stop", "start"))
        return (
            Planned(action="stop", text=stop),
            Planned(action="start", text=start),
            Planned(action="undo", text=f"{stop}; {start}"),
        )

    async def stop(self, before: Before) -> None:
        """Stop it, with what would wake it, and see that no process of it is left."""
        unit = _of(before, self._unit)
        names = [*before.get("wakers", ()), unit]
        hint = f"`systemctl status {unit}` tells why; nothing else was done."
        await self._calls.must(*self._argv("stop", *names), what=f"Stopping the unit {unit}", hint=hint, code="recipe_stop_failed")  # fmt: skip
        if not await until(lambda: self._down(unit), min(DOWN_SECONDS, self._calls.seconds)):
            raise _not_stopped(unit, (await self._show(unit)).state)
        left = await asyncio.to_thread(leftovers, str(before.get("cgroup") or ""))
        if left:
            raise _left_running(unit, left)

    async def deploy(self, before: Before) -> None:
        """Nothing: another recipe puts the new version in place."""

    async def start(self, before: Before) -> None:
        """Start it and see that it stays up; wakers and the units that went down with it are started again."""
        unit = _of(before, self._unit)
        stands = await self._show(unit)
        if stands.reload:
            await self._calls.must(*self._argv("daemon-reload"), what="Reading the units' files again")
        if stands.active == "failed":
            await self._calls.must(*self._argv("reset-failed", unit), what=f"Forgetting the failure of {unit}")
        for waker in before.get("wakers", ()):
            await self._calls.must(*self._argv("start", waker), what=f"Starting {waker}")
        hint = f"`systemctl status {unit}` and its log tell why."
        await self._calls.must(*self._argv("start", unit), what=f"Starting the unit {unit}", hint=hint, code="recipe_start_failed")  # fmt: skip
        await self._stays(unit, stands.restarts if stands.up else 0)
        for other in before.get("along", ()):
            await self._calls.must(*self._argv("start", other), what=f"Starting {other}, which stopped with {unit}")

    async def put_back(self, before: Before) -> None:
        """Nothing: a unit has no version of its own."""

    async def standing(self) -> Standing | None:
        """The unit's state."""
        unit = await self._show(self._unit)
        return Standing(running=unit.running, what=f"unit {unit.id or self._unit}", pid=unit.pid or None, since=unit.since(time.time(), time.monotonic()))  # fmt: skip

    async def log_tail(self, lines: int = 50) -> str:
        """The journal of its newest start only: what an older one said misleads."""
        unit = await self._show(self._unit)
        argv = ["journalctl", *self._user, "--no-pager", "--quiet", "-o", "short-iso", "-n", str(lines)]
        if unit.invocation:
            said_about = "USER_INVOCATION_ID" if self._user else "INVOCATION_ID"
            argv += [f"_SYSTEMD_INVOCATION_ID={unit.invocation}", "+", f"{said_about}={unit.invocation}"]
        else:
            argv += ["--user-unit" if self._user else "--unit", self._unit]
        output = await self._calls.run(*argv)
        values = await asyncio.to_thread(environment_of, unit)
        return newest(hiding(self._calls.redact, values)(output.text or output.said), lines)

    async def variables(self) -> Sequence[str]:
        """Names of `Environment=`, of the files in `EnvironmentFile=` that can be read, and of its process."""
        unit = await self._show(self._unit)
        return sorted(await asyncio.to_thread(environment_of, unit))

    def _argv(self, verb: str, *units: str) -> tuple[str, ...]:
        return ("systemctl", *self._user, verb, *units, "--no-ask-password")

    async def _show(self, unit: str) -> Unit:
        argv = ("systemctl", *self._user, "show", unit, "--no-pager", f"--property={','.join(PROPERTIES)}")
        found = read_unit(await self._calls.must(*argv, what=f"Asking for the unit {unit}", ask=True))
        if found.active:
            return found
        # Replacements for systemctl in containers know few properties; all of them know `is-active`.
        output = await self._calls.run("systemctl", *self._user, "is-active", unit)
        return found.with_active(output.text.strip() or ("active" if output.ok else "inactive"))

    async def _depending(self, unit: Unit) -> list[str]:
        """Active units that systemd stops with it, and doesn't start again with it."""
        found: list[str] = []
        waiting = list(unit.goes_with)
        while waiting:
            name = waiting.pop(0)
            other = await self._show(name)
            if name not in found and name not in unit.triggered_by and other.up:
                found.append(name)
                waiting += [n for n in other.goes_with if n not in found]
        return found

    async def _down(self, unit: str) -> bool:
        return (await self._show(unit)).down

    async def _stays(self, name: str, restarts: int) -> None:
        """A failing unit is `activating (auto-restart)` or `failed`, or has been started again, within a moment.

        systemd counts from 0 again when a unit that had ended is started by hand.
        """
        first = await self._show(name)
        end = time.monotonic() + (SETTLE_SECONDS if first.believed_at_once else 0.0)
        while True:
            unit = await self._show(name)
            if unit.failing or unit.restarts > restarts or (unit.pid and first.pid and unit.pid != first.pid):
                raise _not_started(name, unit)
            if time.monotonic() >= end and unit.settled:
                return
            if time.monotonic() >= end + self._calls.seconds:
                raise _not_started(name, unit)
            await asyncio.sleep(0.2)


_AWAY = (
    "This machine, or this session, has no systemd to talk to. For `user: true` the user must be logged in or lingering "
    "(`loginctl enable-linger`), with XDG_RUNTIME_DIR set; else choose another kind of recipe."
)


def _denied(unit: str, user: bool) -> str:
    if user:
        return f"Start stepflow as the user whose unit {unit} is, then run the command again."
    return (
        f"Start stepflow with sudo, or allow this user to manage {unit} by a polkit rule for "
        "org.freedesktop.systemd1.manage-units, or use a user unit with `user: true`."
    )


def _of(before: Before, unit: str) -> str:
    return str(before.get("unit") or unit)


def _not_stopped(unit: str, state: str) -> StepFailed:
    return StepFailed(
        f"The unit {unit} did not stop.",
        detail=f"its state is {state}",
        hint=f"`systemctl status {unit}` tells what keeps it; stop it, then `stepflow run` again.",
        code="recipe_not_stopped",
    )


def _left_running(unit: str, pids: Iterable[int]) -> StepFailed:
    listed = ", ".join(map(str, pids))
    return StepFailed(
        f"The unit {unit} is stopped, but processes that it started still run.",
        detail=f"processes {listed}; KillMode of the unit leaves them alive",
        hint="End these processes, and use KillMode=control-group or mixed in the unit, then `stepflow run` again.",
        code="recipe_left_running",
    )


def _not_started(name: str, unit: Unit) -> StepFailed:
    return StepFailed(
        f"The unit {name} did not stay up.",
        detail=f"{unit.state}; result {unit.result or 'unknown'}, exit status {unit.exit_status}, restarted {unit.restarts} times",
        hint=f"Its log tells why: `journalctl -u {name} -n 50`.",
        code="recipe_start_failed",
    )
