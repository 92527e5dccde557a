"""How far something is. Text is made in the front end only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EtaState(StrEnum):
    """What is known about the time left."""

    NONE = "none"
    MEASURING = "measuring"
    READY = "ready"
    DUE = "due"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One progress line. `item` is "" for the step as a whole, else a table name. `unit`: rows, bytes, pages, objects."""

    step: str
    item: str = ""
    done: int = 0
    total: int | None = None
    unit: str = "rows"
    rate_per_second: float | None = None
    eta_seconds: float | None = None
    eta_state: EtaState = EtaState.NONE
    throttle: str = ""  # reason, "" when not throttled
