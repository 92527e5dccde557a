"""Numbers and times as text for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stepflow_tui.engine.texts.language import N_, _, known, language
from stepflow_tui.engine.texts.running import OWN_PHASES, PHASES

UNITS = (N_("rows"), N_("tables"), N_("pages"), N_("objects"), N_("changes"), N_("measurements"))
"""What is counted besides bytes."""

THROTTLES: Mapping[str, str] = {
    "rate_limit": N_("the config's limit of rows per second"),
    "target_active": N_("the target is busy with other sessions"),
    "target_slow_commits": N_("the target takes long to commit"),
}
"""Why a copy is slowed down."""
OTHER_STATES = (
    *(N_("started"), N_("attached"), N_("resumed"), N_("finished")),  # how `run` found the run
    *(N_("open"), N_("passed"), N_("stopped"), N_("raised"), N_("resolved"), N_("acknowledged")),  # gates and alerts
    *(N_("ok"), N_("note"), N_("missing"), N_("installed")),  # what `doctor` found
)
"""Values shown by `term` that are members of no enumeration."""


WHENS: Mapping[str, str] = {
    "before": N_("Before the migration"),
    "during": N_("During the migration"),
    "after": N_("After the migration"),
    "rollback_before": N_("Before a rollback"),
    "rollback_during": N_("During a rollback"),
    "rollback_after": N_("After a rollback"),
}
"""When an item of the checklist is due."""


class _Signs(NamedTuple):
    """How a language joins texts."""

    colon: str
    comma: str
    semicolon: str
    counted: str


_SIGNS = {"en": _Signs(": ", ", ", "; ", "{count} {what}"), "zh": _Signs("：", "，", "；", "{count} 项{what}")}
_ENDS = ("。", "！", "？", "；", "：")
"""After these no blank follows."""


def about(name: str, text: object) -> str:
    """`name: text`."""
    return f"{name}{_SIGNS[language()].colon}{text}"


def listed(parts: Iterable[str]) -> str:
    """`one, two, three`: words of ours; names and numbers are listed with a plain comma in every language."""
    return _SIGNS[language()].comma.join(parts)


def clauses(parts: Iterable[str]) -> str:
    """`one; two; three`: for parts that may hold commas."""
    return _SIGNS[language()].semicolon.join(parts)


def counted(number: int, what: str) -> str:
    """`3 warning`: how many of a sort."""
    return _SIGNS[language()].counted.format(count=number, what=what)


def sentences(*texts: str) -> str:
    """Sentences one after the other, with a blank between them where the language has one."""
    said = ""
    for text in filter(None, texts):
        said += text if not said or said.endswith(_ENDS) else f" {text}"
    return said


def seconds(value: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `4 d 3 h`."""
    if value is None:
        return _("unknown")
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    for size, name, smaller, small_name in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // smaller} {small_name}"
    return f"{whole} s"


def clock(value: float) -> str:
    """`0.4 s`, `12 s`, `3:05`, `2:10:00`: the same in few cells."""
    whole = round(value)
    if whole < 60:
        return seconds(value)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def count(value: int | float | None) -> str:
    """`1,234,567`; unknown as `?`."""
    return "?" if value is None else f"{value:,.0f}"


def size(value: int | float | None) -> str:
    """`1.5 GiB`."""
    if value is None:
        return "?"
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def amount(value: int | float | None, unit: str) -> str:
    """A count with its unit; bytes in binary units."""
    return size(value) if unit == "bytes" else f"{count(value)} {_(unit)}"


def progress(row: Mapping[str, Any]) -> str:
    """`1,000 of 5,000 rows (20 %), 500 rows/s, 8 s left`."""
    done, total, unit = row["done"], row.get("total"), row.get("unit") or "rows"
    text = amount(done, unit)
    if total is not None:
        first = size(done) if unit == "bytes" else count(done)
        text = _("{done} of {total}").format(done=first, total=amount(total, unit))
    if total:
        text += f" ({100 * done / total:.0f} %)"
    parts, rate = [text], row.get("rate_per_second")
    if rate:
        parts.append(f"{amount(rate, unit)}/s")
    if row.get("eta_seconds") is not None and (total is None or done < total):
        parts.append(_("{time} left").format(time=seconds(row["eta_seconds"])))
    if row.get("throttle"):
        parts.append(_("throttled: {reason}").format(reason=throttle(row["throttle"])))
    return listed(parts)


def throttle(reason: str) -> str:
    """Why a copy is slowed down, as the journal keeps it, in words."""
    return _(THROTTLES[reason]) if reason in THROTTLES else known(reason)


def spaced(name: str) -> str:
    """A name of ours (`switch_reads`, `foreign_keys`) as words."""
    return name.replace("_", " ").replace("-", " ")


def phrase(name: str) -> str:
    """A name of ours as words of the language in use."""
    return _(spaced(name))


def settled_by(who: str) -> str:
    """Who settled an item of the checklist: a person, `--yes`, or one of our checks."""
    return _("a check") if who == "check" else who


def when(name: str) -> str:
    """When an item of the checklist is due."""
    return _(WHENS.get(name) or spaced(name))


def phase(name: str, *sorts: str) -> str:
    """A phase as its title, the same words wherever a person meets it: `Copy`, not `backfill`.

    Args:
        name: the phase.
        sorts: kind and mode of the migration, where they are known: some phases mean something else there.
    """
    own = (OWN_PHASES[sort].get(name) for sort in sorts if sort in OWN_PHASES)
    return _(next(filter(None, own), None) or PHASES.get(name) or spaced(name))


def term(value: object) -> str:
    """A value of our vocabularies (states, verdicts, severities).

    In English as JSON prints it and commands take it; in other languages their word for it.
    """
    text = str(value)
    return text if language() == "en" else phrase(text)
