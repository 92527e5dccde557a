"""When a look is worth an alert, and when an alert is over. Looks in, events out; no clock, no disk.

An alert is raised by the first look that breaks its limit. It is cleared only after two looks in a row that are well within
it (below 80 % of a limit, above 120 % of a minimum), so that a figure at its limit does not raise it again and again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stepflow_tui.engine.model.config import Config

EASE = 0.8
CALM_LOOKS = 2

Look = Mapping[str, Any]


class AlertCode(StrEnum):
    """What `monitor` tells of."""

    UNREACHABLE = "unreachable"
    UNHEALTHY = "unhealthy"
    MODE_CHANGED = "mode_changed"
    WAL_STARVED = "wal_starved"
    WAL_LARGE = "wal_large"
    SLOW_RESPONSE = "slow_response"
    HIGH_MEMORY = "high_memory"
    DISK_LOW = "disk_low"
    LOG_PATTERN = "log_pattern"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one look says of one alert about one thing. `key` tells things apart: a check, a process, a log."""

    code: AlertCode
    key: str = ""
    bad: bool
    calm: bool
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Standing:
    since: str
    params: Mapping[str, Any]
    calm: int = 0


class Alerts:
    """The alerts of one monitor. `standing` names those that are up, worst kind first."""

    def __init__(self, config: Config, *, expects_wal: bool) -> None:
        self._config = config
        self._expects_wal = expects_wal
        self._up: dict[tuple[AlertCode, str], _Standing] = {}

    @property
    def standing(self) -> Sequence[str]:
        """Codes of the alerts that are up, each once."""
        codes = {code for code, _ in self._up}
        return [code.value for code in AlertCode if code in codes]

    def judge(self, look: Look) -> list[dict[str, Any]]:
        """The events that a look calls for: {event: alert | alert_cleared, time, code, key, since, params}."""
        readings = list(self._readings(look))
        seen = {(r.code, r.key) for r in readings}
        # a process or check that is gone is as good as one that is within its limit
        gone = [Reading(code=c, key=k, bad=False, calm=True) for c, k in self._up if (c, k) not in seen]
        if look["database"]["mode"] == "wal":
            self._expects_wal = True
        return [event for reading in (*readings, *gone) if (event := self._take(reading, look["time"])) is not None]

    def _take(self, reading: Reading, time: str) -> dict[str, Any] | None:
        at = (reading.code, reading.key)
        up = self._up.get(at)
        if reading.bad:
            self._up[at] = _Standing(since=up.since if up else time, params=reading.params)
            return None if up else _event("alert", time, at, time, reading.params)
        if up is None:
            return None
        up.calm = up.calm + 1 if reading.calm else 0
        if up.calm < CALM_LOOKS:
            return None
        del self._up[at]
        return _event("alert_cleared", time, at, up.since, up.params)

    def _readings(self, look: Look) -> Iterator[Reading]:
        database = look["database"]
        yield from self._reached(look)
        yield from self._wal(database)
        mode = database["mode"]
        changed = self._expects_wal and mode == "rollback"
        yield Reading(code=AlertCode.MODE_CHANGED, bad=changed, calm=mode == "wal", params={"mode": mode})
        yield from self._answers(look["health"])
        for process in look["processes"]["found"]:
            params = {"pid": process["pid"], "command": process["command"]}
            yield above(
                AlertCode.HIGH_MEMORY,
                process["memory"],
                self._config.monitor.limits.memory,
                str(process["pid"]),
                params,
            )
        yield self._disk(look["disk"])
        yield from _logs(look["logs"])

    def _reached(self, look: Look) -> Iterator[Reading]:
        mode, file = look["database"]["mode"], look["database"]["file"]
        lost = mode in ("missing", "unreadable")
        yield Reading(
            code=AlertCode.UNREACHABLE, key="database", bad=lost, calm=not lost, params={"what": file, "reason": mode}
        )
        target = look["target"]
        if target is not None:
            params = {"what": target["address"], "reason": target["reason"], "code": target["code"]}
            yield Reading(
                code=AlertCode.UNREACHABLE, key="target", bad=not target["ok"], calm=target["ok"], params=params
            )

    def _wal(self, database: Mapping[str, Any]) -> Iterator[Reading]:
        wal = self._config.wal
        limit = min(wal.max_bytes, self._config.monitor.limits.wal)
        pins = database["pinned_by"]
        yield above(AlertCode.WAL_LARGE, database["wal_bytes"], limit, params={"pinned_by": pins or []})
        oldest = max(pins or (), key=lambda pin: pin["age_seconds"], default=None)
        age = oldest["age_seconds"] if oldest else None if pins is None else 0.0
        yield above(AlertCode.WAL_STARVED, age, wal.starvation, params=dict(oldest or {}))

    def _answers(self, health: Sequence[Mapping[str, Any]]) -> Iterator[Reading]:
        for number, answer in enumerate(health):
            key, what = str(number), answer["what"]
            ok = answer["ok"]
            yield Reading(
                code=AlertCode.UNHEALTHY,
                key=key,
                bad=not ok,
                calm=ok,
                params={"what": what, "reason": answer["reason"]},
            )
            if ok and answer["kind"] in ("http", "websocket"):
                yield above(
                    AlertCode.SLOW_RESPONSE, answer["seconds"], self._config.monitor.limits.latency, key, {"what": what}
                )

    def _disk(self, disk: Mapping[str, Any]) -> Reading:
        least, free = self._config.requirements.disk.minimum, disk["free"]
        params = {"value": free, "limit": least, "folder": disk["folder"]}
        return Reading(
            code=AlertCode.DISK_LOW,
            bad=free is not None and free < least,
            calm=free is not None and free > least / EASE,
            params=params,
        )


def above(
    code: AlertCode, value: float | None, limit: float, key: str = "", params: Mapping[str, Any] | None = None
) -> Reading:
    """A figure that must not exceed a limit; an unknown one neither raises nor clears."""
    known = {**(params or {}), "value": value, "limit": limit}
    bad, calm = value is not None and value > limit, value is not None and value <= limit * EASE
    return Reading(code=code, key=key, bad=bad, calm=calm, params=known)


def _logs(logs: Sequence[Mapping[str, Any]]) -> Iterator[Reading]:
    for log in logs:
        count = sum(hit["count"] for hit in log["hits"])
        params = {"file": log["file"], "count": count, "newest": log["hits"][-1]["newest"] if log["hits"] else ""}
        yield Reading(code=AlertCode.LOG_PATTERN, key=log["file"], bad=count > 0, calm=not count, params=params)


def _event(event: str, time: str, at: tuple[AlertCode, str], since: str, params: Mapping[str, Any]) -> dict[str, Any]:
    code, key = at
    return {"event": event, "time": time, "code": code.value, "key": key, "since": since, "params": dict(params)}
