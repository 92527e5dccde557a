"""What the list of runs shows: runs of the state directory and configs of the folder, read in a thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.bridge import WizardOptions
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.state import FINISHED
from stepflow_tui.facade import Facade
from stepflow_tui.keymap import check_keymap

MAX_CONFIGS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundConfig:
    """A config file of the folder. `problems`: how many it has, 0 for one that can be started."""

    path: Path
    name: str = ""
    kind: str = ""
    problems: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Runs, unfinished ones first, and configs. `error`: why the state directory can't be read."""

    runs: Sequence[Mapping[str, Any]] = ()
    configs: Sequence[FoundConfig] = ()
    error: StepFlowError | None = None


def unfinished(run: Mapping[str, Any]) -> bool:
    """Whether a run can still go on."""
    return run.get("state") not in FINISHED


def look(api: Facade, options: WizardOptions) -> Listing:
    """Everything there is. Blocking."""
    try:
        runs = list(api.list_runs(options.state))
    except StepFlowError as error:
        return Listing(configs=_configs(api, options), error=error)
    return Listing(runs=sorted(runs, key=lambda run: not unfinished(run)), configs=_configs(api, options))


def _configs(api: Facade, options: WizardOptions) -> list[FoundConfig]:
    return [_found(api, path, options.env) for path in api.find_configs(options.folder)[:MAX_CONFIGS]]


def _found(api: Facade, path: Path, env: Mapping[str, str]) -> FoundConfig:
    try:
        config = api.load_config(path, env, (check_keymap,)).config
    except StepFlowError as error:
        return FoundConfig(path=path, problems=max(1, len(error.detail.splitlines())))
    return FoundConfig(path=path, name=config.name, kind=config.kind.value)
