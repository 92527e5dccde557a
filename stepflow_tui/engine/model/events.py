"""Codes of journal events, and which of them `run --json` prints."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Level(IntEnum):
    """How loud an event is."""

    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class EventCode(StrEnum):
    """What an event tells; `data` holds its parameters."""

    RUN_STARTED = "run_started"  # name kind mode environment epoch resumed tool
    PHASE = "phase"  # phase state
    STEP = "step"  # phase step state attempt [seconds evidence]
    FINDING = "finding"  # stage code severity object params
    GATE = "gate"  # phase questions[{kind id params}] state: open passed stopped
    ALERT = "alert"  # code key severity params state: raised resolved acknowledged
    DISCREPANCY = "discrepancy"  # table key column class source target cause repair_sql
    ERROR = "error"  # code message detail hint exit_code
    RUN_FINISHED = "run_finished"  # result exit_code report
    SWITCH = "switch"  # from to (percentages) stage strategy version by reason
    SWITCH_ROLLED_BACK = "switch_rolled_back"  # from to version signal params
    OBSERVING = "observing"  # window_seconds then: the new side owns writes, the engine keeps the way back
    STATE = "state"  # from to (journal only)
    INTENT = "intent"  # verb who state answer (journal only)
    NOTE = "note"  # who text (journal only)


FAMILIES = ("capture_", "cutover_")
"""Beginnings of codes of live runs that are named by what happened: `capture_installed`, `cutover_fenced`."""

PRIVATE = frozenset({EventCode.STATE, EventCode.INTENT, EventCode.NOTE})
"""Events for the journal only."""


def is_public(code: str) -> bool:
    """Whether `run --json` prints it; `progress` lines come from the progress rows, at most one a second per step."""
    return code not in PRIVATE
