"""The engine's facade: what the command line and the wizard use. Names are resolved when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    # config and state
    "load_config": "stepflow_tui.engine.config",
    "RunReader": "stepflow_tui.engine.journal.reader",
    "watching": "stepflow_tui.engine.journal.observers",
    # look before anything changes
    "check": "stepflow_tui.engine.facade.inspect",
    "plan": "stepflow_tui.engine.facade.inspect",
    "verify": "stepflow_tui.engine.facade.verify",
    # runs
    "start": "stepflow_tui.engine.facade.start",
    "send": "stepflow_tui.engine.facade.steer",
    "list_runs": "stepflow_tui.engine.facade.look",
    "resolve_run": "stepflow_tui.engine.facade.look",
    "report": "stepflow_tui.engine.facade.look",
    "report_text": "stepflow_tui.engine.facade.look",
    "alerts": "stepflow_tui.engine.facade.look",
    "audit": "stepflow_tui.engine.facade.look",
    "verify_audit": "stepflow_tui.engine.facade.look",
    # what surrounds them
    "backups": "stepflow_tui.engine.facade.care",
    "verify_backup": "stepflow_tui.engine.facade.care",
    "restore_backup": "stepflow_tui.engine.facade.care",
    "doctor": "stepflow_tui.engine.facade.care",
    "embedded": "stepflow_tui.engine.facade.care",
    "make_demo": "stepflow_tui.engine.facade.demo",
    "end_demo": "stepflow_tui.engine.facade.demo",
}

__all__ = sorted(_NAMES)  # noqa: PLE0605 - the names are resolved by __getattr__


def __getattr__(name: str) -> Any:
    """Import a name's module now, so that `stepflow --help` loads no driver."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NAMES[name]), name)
