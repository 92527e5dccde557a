"""Where the plan screen gets what it shows: a run's journal, or a plan made just for looking. Both block: call them in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from screens.pages.gate import GateFacts
from screens.pages.view import PlanView, planned_objects
from stepflow_tui.bridge import WizardOptions
from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.draft import IN_PLACE
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.texts.language import _
from stepflow_tui.facade import Facade, Planned, RunInfo
from stepflow_tui.render import words
from stepflow_tui.render.findings import finding_of


class JournalPlan:
    """The plan of a run, read as often as there is news."""

    def __init__(self, api: Facade, run: RunInfo) -> None:
        self._api = api
        self._run = run
        self._plan: Plan | None = None

    def read(self) -> PlanView:
        """What the journal says now.

        Raises:
            StepFlowError: it can't be read.
        """
        with self._api.RunReader(self._run.path) as reader:
            row, status = reader.run() or {}, reader.status()
            if self._plan is None or self._plan.hash != row.get("plan_hash"):
                self._plan = reader.plan()
            steps = [s for phase in status["phases"] for s in phase["steps"]]
            return PlanView(
                name=str(status["name"]),
                plan=self._plan,
                missing=() if self._plan is not None else tuple(_missing(status)),
                findings=distinct(reader.findings()),
                items=tuple(reader.checklist()),
                objects=tuple(reader.objects()),
                steps={s["name"]: s["state"] for s in steps},
                seconds={s["name"]: s["seconds"] for s in steps if s["state"] not in ("pending", "running")},
                source_bytes=(row.get("source") or {}).get("size"),
                config=Path(row["config_path"]) if row.get("config_path") else None,
                wal=wal_of(row.get("config") or {}),
            )


class Preview:
    """A plan of a config that no run was started for. `stop` may be called from another thread."""

    def __init__(self, api: Facade, config: Path, options: WizardOptions) -> None:
        self._api, self._config, self._options = api, config, options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stopped = False

    def make(self) -> PlanView | None:
        """Look at source and target and plan; changes nothing. None when it was stopped.

        Raises:
            StepFlowError: the config can't be used, or the source can't be read.
        """
        loaded = self._api.load_config(self._config, self._options.env)
        with suppress(asyncio.CancelledError):
            found = asyncio.run(self._work(loaded))
            size, wal = _size(loaded.config.source.path), loaded.config.wal if loaded.config.in_place else None
            return replace(_previewed(self._config, loaded.config.name, found, size), wal=wal)
        return None

    async def _work(self, loaded: Any) -> Planned:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._stopped:
            raise asyncio.CancelledError
        return await self._api.plan(loaded, state=self._options.state)

    def stop(self) -> None:
        """Give up; what it started is ended."""
        self._stopped = True
        if self._loop is not None and self._task is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # it has just ended by itself
                self._loop.call_soon_threadsafe(self._task.cancel)


def gate_facts(api: Facade, run: RunInfo) -> GateFacts:
    """What the journal knows about what a gate asks.

    Raises:
        StepFlowError: it can't be read.
    """
    with api.RunReader(run.path) as reader:
        return GateFacts(items=tuple(reader.checklist()), findings=tuple(map(finding_of, reader.findings())))


def _previewed(config: Path, name: str, found: Planned, source_bytes: int | None) -> PlanView:
    plan = found.plan
    blocked = (_("There is no plan: a blocking finding stands before it. The findings tell what to do."),)
    return PlanView(
        name=name,
        plan=plan,
        missing=() if plan is not None else blocked,
        findings=tuple(found.findings),
        items=tuple(found.items),
        objects=() if plan is None else tuple(planned_objects(plan)),
        source_bytes=source_bytes,
        config=config,
    )


def wal_of(kept: Mapping[str, Any]) -> Wal | None:
    """The section `wal` of the config a run was started with, as its journal keeps it."""
    with suppress(ValueError, yaml.YAMLError):
        found = yaml.safe_load(str(kept.get("text") or "")) or {}
        if found.get("kind") in IN_PLACE:
            section = {key: value for key, value in (found.get("wal") or {}).items() if key != "probe"}
            return Wal.model_validate(section)
    return None


def _missing(status: Mapping[str, Any]) -> list[str]:
    """What stands before the plan."""
    state = words.term(status["state"])
    waits = [
        _("waits for: {step}").format(step=_(s["title"]))
        for phase in status["phases"]
        for s in phase["steps"]
        if phase["name"] == "prepare" and s["state"] != "done"
    ]
    return [_("The plan is not made yet; the run is {state}.").format(state=state), *waits]


def distinct(rows: Any) -> tuple[Finding, ...]:
    """What several stages found alike is one finding."""
    found: list[Finding] = []
    for row in rows:
        finding = finding_of(row)
        if finding not in found:
            found.append(finding)
    return tuple(found)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None  # the findings say why
