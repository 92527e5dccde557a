"""The engine's facade: what the command line and the wizard use. Names are resolved when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    # config and state
    "load_config": "stepflow_tui.engine.config",
    "RunReader": "stepflow_tui.engine.journal.reader",
    "watching": "stepflow_tui.engine.journal.observers",
    # making a config
    "survey": "stepflow_tui.engine.facade.survey",
    "describe": "stepflow_tui.engine.facade.survey",
    "advise": "stepflow_tui.engine.plan.advice",
    "try_target": "stepflow_tui.engine.facade.try_target",
    "config_text": "stepflow_tui.engine.facade.compose",
    "save_config": "stepflow_tui.engine.facade.compose",
    "find_configs": "stepflow_tui.engine.facade.find_configs",
    "free_path": "stepflow_tui.engine.facade.compose",
    "suggested_name": "stepflow_tui.engine.facade.compose",
    "holds_password": "stepflow_tui.engine.facade.compose",
    "split_password": "stepflow_tui.engine.facade.compose",
    "with_password": "stepflow_tui.engine.facade.compose",
    "manual_items": "stepflow_tui.engine.facade.compose",
    # look before anything changes
    "check": "stepflow_tui.engine.facade.inspect",
    "plan": "stepflow_tui.engine.facade.inspect",
    "application_plan": "stepflow_tui.engine.facade.application",
    "application_trial": "stepflow_tui.engine.facade.application",
    "application_health": "stepflow_tui.engine.facade.application",
    "verify": "stepflow_tui.engine.facade.verify",
    "reveal": "stepflow_tui.engine.facade.reveal",
    "benchmark": "stepflow_tui.engine.facade.benchmark",
    # runs
    "start": "stepflow_tui.engine.facade.start",
    "send": "stepflow_tui.engine.facade.steer",
    "sender": "stepflow_tui.engine.facade.steer",
    "remains": "stepflow_tui.engine.facade.remains",
    "list_runs": "stepflow_tui.engine.facade.look",
    "resolve_run": "stepflow_tui.engine.facade.look",
    "run_keymap": "stepflow_tui.engine.facade.look",
    "report": "stepflow_tui.engine.facade.look",
    "report_text": "stepflow_tui.engine.facade.look",
    "alerts": "stepflow_tui.engine.facade.look",
    "audit": "stepflow_tui.engine.facade.look",
    "verify_audit": "stepflow_tui.engine.facade.look",
    # what surrounds them
    "pragmas": "stepflow_tui.engine.facade.pragmas",
    "judge_pragmas": "stepflow_tui.engine.facade.pragmas",
    "ask_pragmas": "stepflow_tui.engine.facade.pragmas",
    "optimize": "stepflow_tui.engine.facade.optimize",
    "backups": "stepflow_tui.engine.facade.care",
    "verify_backup": "stepflow_tui.engine.facade.care",
    "restore_backup": "stepflow_tui.engine.facade.care",
    "make_set": "stepflow_tui.engine.steps.restoring.sets",
    "about_set": "stepflow_tui.engine.steps.restoring.restore",
    "restore_everything": "stepflow_tui.engine.steps.restoring.restore",
    "schedule": "stepflow_tui.engine.facade.schedule",
    "save_env_example": "stepflow_tui.engine.facade.env_example",
    "monitor": "stepflow_tui.engine.facade.monitor",
    "monitor_unit": "stepflow_tui.engine.facade.monitor",
    "doctor": "stepflow_tui.engine.facade.doctor",
    "bundle_place": "stepflow_tui.engine.facade.bundle",
    "support_bundle": "stepflow_tui.engine.facade.bundle",
    "embedded": "stepflow_tui.engine.facade.care",
    "make_demo": "stepflow_tui.engine.facade.demo",
    "end_demo": "stepflow_tui.engine.facade.demo",
    "keep_demo": "stepflow_tui.engine.facade.demo",
}


class Api:
    """The facade's functions and classes as attributes, each imported when it is first asked for.

    An object of its own: as attributes of this package some of the names would be hidden by its subpackages.
    """

    def __getattr__(self, name: str) -> Any:
        """The function or class of that name. Raises AttributeError."""
        if name not in _NAMES:
            raise AttributeError(f"the engine's facade has no {name!r}")
        found = getattr(import_module(_NAMES[name]), name)
        setattr(self, name, found)
        return found

    def __dir__(self) -> list[str]:
        """The names it has."""
        return sorted(_NAMES)


api = Api()
"""What front ends call."""
