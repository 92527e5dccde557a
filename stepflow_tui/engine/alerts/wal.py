"""Alert rules about the write-ahead log of a database that is used where it stands: a gauge in, alerts out. No clock, no disk.

The gauge brings its own limits (`limits`); one without them belongs to a run that only reads its source (`alerts.live`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.alerts.lasting import Lasting, Since, number, program_of
from stepflow_tui.engine.model.alert import Alert, AlertSeverity
from stepflow_tui.engine.texts.language import N_

LARGE, STARVED, LOST = "wal_large", "wal_starved", "wal_lost"
WAL_WATCHED = (LARGE, STARVED, LOST)
"""Codes the watch resolves by itself when their rule is silent again."""

HELD_SECONDS = 10.0
"""How long the log must be too large, or the mode another, before anybody is told: a checkpoint may be on its way."""
LET_GO = 0.8
"""An alert about the size ends below this share of the limit, not at the limit."""

NAMELESS = {0: N_("outside this container"), -1: N_("not named by the system")}
"""Stand for the program of a process that can't be seen."""

Gauge = Mapping[str, Any]
Standing = frozenset[tuple[str, str]]
"""Open alerts by code and key."""


def is_watched(wal: Gauge) -> bool:
    """Whether these rules are about that gauge."""
    return bool(wal.get("limits"))


def remember_wal(wal: Gauge, before: Lasting, now: float) -> dict[str, Since]:
    """What lasts now: kept since it began, begun now, or forgotten. What can't be seen just now is kept as it was.

    Args:
        before: what this function returned the last time.
        now: monotonic seconds.
    """
    if not is_watched(wal):
        return {}
    if _unseen(wal):
        return {name: before[name] for name in WAL_WATCHED if name in before}
    lasting = {
        LARGE: number(wal.get("bytes")) > _most(wal),
        LOST: bool(wal.get("expected")) and wal.get("mode") != "wal",
    }
    return {name: before.get(name) or Since(at=now) for name, true in lasting.items() if true}


def wal_rules(wal: Gauge, lasting: Lasting, now: float, standing: Standing = frozenset()) -> list[Alert]:
    """All alerts this gauge calls for.

    Args:
        lasting: by `remember_wal`, of the same look.
        now: monotonic seconds.
        standing: open alerts. One about the size stays until the log is clearly smaller, one about a reader until that
            reader holds nothing back any more.
    """
    if not is_watched(wal):
        return []
    told = frozenset(code for code, since in lasting.items() if now - since.at >= HELD_SECONDS)
    return [*_lost(wal, told, standing), *_starved(wal, standing), *_large(wal, told, standing)]


def _large(wal: Gauge, told: frozenset[str], standing: Standing) -> Iterator[Alert]:
    stays = (LARGE, "") in standing and (_unseen(wal) or number(wal.get("bytes")) > LET_GO * _most(wal))
    if stays or LARGE in told:
        params = {"bytes": int(number(wal.get("bytes"))), "frames": _outstanding(wal)}
        yield Alert(code=LARGE, params={**params})


def _starved(wal: Gauge, standing: Standing) -> Iterator[Alert]:
    if _unseen(wal) or wal.get("pinned_by") is None:
        yield from (_kept(key) for code, key in sorted(standing) if code == STARVED)
        return
    for pin in wal["pinned_by"]:
        long = number(pin.get("age_seconds")) >= number(wal["limits"].get("starvation"))
        if long or (STARVED, str(pin["pid"])) in standing:
            yield Alert(
                code=STARVED,
                key=str(pin["pid"]),
                params={
                    "pid": int(pin["pid"]),
                    "program": NAMELESS.get(int(pin["pid"])) or program_of(pin.get("command")),
                    "seconds": round(number(pin.get("age_seconds"))),
                    "frames": _outstanding(wal),
                },
            )


def _kept(key: str) -> Alert:
    """One that stands is left alone by the watch: only its code and key count."""
    return Alert(code=STARVED, key=key)


def _lost(wal: Gauge, told: frozenset[str], standing: Standing) -> Iterator[Alert]:
    if LOST in told or ((LOST, "") in standing and _unseen(wal)):
        yield Alert(code=LOST, severity=AlertSeverity.CRITICAL, params={"mode": str(wal.get("mode"))})


def _unseen(wal: Gauge) -> bool:
    """No fresh look: neither good nor bad is known."""
    return wal.get("mode") in (None, "unknown", "unreadable")


def _most(wal: Gauge) -> float:
    return number(wal["limits"].get("bytes"))


def _outstanding(wal: Gauge) -> int:
    return int(number(wal.get("frames")) - number(wal.get("checkpointed")))
