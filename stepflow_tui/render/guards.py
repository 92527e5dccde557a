"""What must hold before reads or writes move, from a run's status: for dialogs and for the command line.

The engine decides; this is what it is seen to decide by, so that nobody has to try in order to find out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from stepflow_tui.engine.texts.language import _
from stepflow_tui.engine.texts.switching import GUARDS
from stepflow_tui.render import words
from stepflow_tui.render.live import back_seconds, filled, freeze_line, loses, percent

Status = Mapping[str, Any]

WHOLE = 100
CAUTIONS = frozenset({"soak", "samples", "lag", "freeze"})
"""Guards that an operator may overrule by typing the run's name; the others hold for everybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """One guard. `text` says what holds, or what stands in the way."""

    code: str
    ok: bool
    text: str


def _guard(code: str, ok: object, **params: object) -> Guard:
    told = {code: GUARDS[code][0 if ok else 1]} if code in GUARDS else {}
    return Guard(code=code, ok=bool(ok), text=filled(told, code, params))


def _told(rows: Sequence[Mapping[str, Any]]) -> list[Guard]:
    """Guards as the engine lists them: `code ok params`."""
    return [_guard(str(row.get("code")), row.get("ok"), **(row.get("params") or {})) for row in rows]


def now_percent(status: Status) -> float:
    """How much of the reading goes to the new side."""
    return float((status.get("switch") or {}).get("percentage") or 0)


def percentage(text: str) -> float | None:
    """What was typed, None if it is no percentage."""
    try:
        share = float(text.strip().rstrip("%").strip())
    except ValueError:
        return None
    return share if isfinite(share) and 0 <= share <= WHOLE else None


def share_of(percentage: float) -> int:
    """A percentage as routers count it, in hundredths of a percent."""
    return round(percentage * 100)


def switch_guards(status: Status) -> list[Guard]:
    """What must hold before more reads move to the new side."""
    switch = status.get("switch") or {}
    if switch.get("guards"):
        return _told(switch["guards"])
    left = switch.get("soak_left_seconds")
    now = "as_of" not in switch  # without an engine nobody knows for how long it is held
    held = [_guard("soak", not left, time=words.seconds(left))] if now else []
    return [
        _guard("engine", (status.get("engine") or {}).get("alive")),
        _guard("armed", not switch.get("rolled_back")),
        _guard("owner", _owner(status) != "postgresql"),
        *_data(status),
        *held,
    ]


def _owner(status: Status) -> str:
    return str((status.get("live") or {}).get("owner") or (status.get("switch") or {}).get("owner") or "sqlite")


def _data(status: Status) -> Iterator[Guard]:
    live = status.get("live") or {}
    verifier = live.get("verifier") or {}
    yield _guard("verified", verifier.get("clean_at") is not None)
    yield _guard("differing", not verifier.get("differing"), count=verifier.get("differing"))
    poison = live.get("poison") or 0
    yield _guard("poison", not poison, count=poison if isinstance(poison, int) else len(poison))


def rehearsal(status: Status) -> Mapping[str, Any]:
    """The newest rehearsal of the cutover: `freeze_seconds guards at`, {} before the first one."""
    return (status.get("live") or {}).get("rehearsal") or {}


def cutover_guards(status: Status) -> list[Guard]:
    """What must hold before writes move: the rehearsal's own guards, else what the gauges show."""
    listed = rehearsal(status).get("guards")
    if listed:
        return _told(listed)
    share = now_percent(status)
    return [
        _guard("engine", (status.get("engine") or {}).get("alive")),
        _guard("reads_by_restart", True)
        if _by_restart(status)
        else _guard("reads", share >= WHOLE, percent=percent(share)),
        *_data(status),
    ]


def _by_restart(status: Status) -> bool:
    """Whether reads move with the application's restart, and no router leads them."""
    return bool((status.get("switch") or {}).get("strategy") == "restart")


def refused(status: Status, share: float) -> str:
    """Why reads can't move to this percentage now, "" where they can. Fewer reads are always allowed."""
    if status.get("switch") is None:
        return _guard("phase", False).text
    if share <= now_percent(status):
        return ""
    return next((g.text for g in switch_guards(status) if not g.ok and g.code not in CAUTIONS), "")


def levels(status: Status) -> tuple[float, ...]:
    """The percentages of the strategy, rising."""
    listed = (status.get("switch") or {}).get("stages") or (1, 5, 25, 50, WHOLE)
    return tuple(sorted(float(one) for one in listed if isinstance(one, int | float)))


def cautions(status: Status, share: float) -> list[str]:
    """What speaks against a rise that is allowed all the same; then the run's name is asked for."""
    now = now_percent(status)
    if share <= now:
        return []
    told = [g.text for g in switch_guards(status) if not g.ok and g.code in CAUTIONS]
    left_out = [percent(level) for level in levels(status) if now < level < share]
    if left_out:
        told.append(_("steps left out: {steps} %").format(steps=", ".join(left_out)))
    return told


def needs_name(status: Status, share: float) -> bool:
    """Whether the run's name is asked for: for all reads, and for a rise that something speaks against."""
    return share > now_percent(status) and (share >= WHOLE or bool(cautions(status, share)))


def guard_lines(guards: Sequence[Guard], *, signs: bool) -> Iterator[str]:
    """One line for each guard; without `signs` in words, for who can't see a tick."""
    for guard in guards:
        if signs:
            yield f"  {'✓' if guard.ok else '✗'} {guard.text}"
        else:
            text = _("holds: {guard}") if guard.ok else _("stands in the way: {guard}")
            yield "  " + text.format(guard=guard.text)


def cutover_facts(status: Status) -> Iterator[str]:
    """What a person should know before writes move."""
    seconds = rehearsal(status).get("freeze_seconds", (status.get("live") or {}).get("freeze_seconds"))
    yield freeze_line({"freeze_seconds": seconds}) or _("how long writes will stand still is not known yet")
    yield _("Writes to SQLite are refused, the last changes are carried over, and PostgreSQL takes the writes.")
    yield _("Until the application is switched, any failure lifts the fence and everything is as before.")
    yield _("From then on the run goes forward only: that is the point of no return. Going back is a rollback.")


def back_facts(status: Status) -> Iterator[str]:
    """What a person should know before going back."""
    what = loses(status)
    if what:
        yield _("Going back now: {what}.").format(what=what)
    seconds = back_seconds(status)
    if seconds is not None:
        yield _("Until the application works again it takes about {time}.").format(time=words.seconds(seconds))
