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
    STATE = "state"  # from to (journal only)
    INTENT = "intent"  # verb who state answer (journal only)
    NOTE = "note"  # who text (journal only)


PUBLIC = frozenset(EventCode) - {EventCode.STATE, EventCode.INTENT, EventCode.NOTE}
"""What `run --json` prints; `progress` lines come from the progress rows, at most one a second per step."""
