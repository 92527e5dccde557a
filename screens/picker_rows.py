"""The lines of the list of runs, in columns that fit the screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from screens.glyphs import Glyphs
from screens.picker_data import FoundConfig, Listing, unfinished
from screens.widgets.cells import fit
from screens.widgets.pick_list import Line
from stepflow_tui.engine.texts.language import N_, _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

SHOWN_RUNS = 100
RUN, CONFIG, START = "run:", "config:", "start:"
"""What an entry's id begins with."""

STARTS: tuple[tuple[str, str, str], ...] = (
    ("new", "n", N_("New migration…")),
    ("advise", "w", N_("Which migration do I need?")),
    ("demo", "d", N_("Demo: watch a sample shop go to PostgreSQL, or to WAL mode")),
)
"""What can be begun: id, key, words."""

_COLOURS = {"done": "green", "failed": "red", "confirm": "yellow", "now": "cyan"}
_SIGNS = {
    "running": "now",
    "observing": "now",
    "rolling_back": "now",
    "pausing": "now",
    "waiting": "confirm",
    "paused": "confirm",
    "completed": "done",
    "failed": "failed",
    "incomplete": "failed",
    "aborted": "skipped",
    "rolled_back": "skipped",
}


def lines(listing: Listing, *, glyphs: Glyphs, now: datetime, width: int, only: str) -> list[Line]:
    """All lines: runs, configs, what can be begun; with `only`, entries that hold this text."""
    wanted = only.strip().lower()
    runs = [r for r in listing.runs if wanted in _searchable(r)]
    configs = [c for c in listing.configs if wanted in f"{c.path.name} {c.name} {c.kind}".lower()]
    found = [*_runs(runs, glyphs, now, width), *_configs(configs, glyphs, width)]
    if wanted:
        return found or [_heading(_("Nothing matches the filter."), width)]
    return [*found, *_starts(width)]


def _searchable(run: Mapping[str, Any]) -> str:
    named = (run.get(k) for k in ("id", "state", "phase", "environment", "kind"))
    return " ".join(str(v) for v in named if v).lower()


def _runs(runs: Sequence[Mapping[str, Any]], glyphs: Glyphs, now: datetime, width: int) -> Iterator[Line]:
    if not runs:
        return
    yield _heading(_("Runs"), width)
    for run in runs[:SHOWN_RUNS]:
        yield Line(id=f"{RUN}{run['id']}", text=run_line(run, glyphs, now, width))
    more = len(runs) - SHOWN_RUNS
    if more > 0:
        text = ngettext("{n} more run; / filters", "{n} more runs; / filters", more).format(n=more)
        yield Line(text=Text(fit(f"  {text}", width, glyphs.more), style="dim"))


def _heading(text: str, width: int) -> Line:
    return Line(text=Text(fit(text, width), style="bold"))


def run_line(run: Mapping[str, Any], glyphs: Glyphs, now: datetime, width: int) -> Text:
    """State, name, phase, age, environment, and who steers it."""
    sign = _SIGNS.get(str(run.get("state")), "todo")
    named = str(run["id"]) if width >= 100 else str(run.get("name") or run["id"])
    phase = words.phase(str(run["phase"]), str(run.get("kind") or "")) if run.get("phase") else ""
    name_width = max(12, width - 2 - 13 - 13 - 9 - 11 - 14)
    state = words.spaced(words.term(run.get("state") or _("unknown")))
    text = Text(style="" if unfinished(run) else "dim")
    text.append(f"{getattr(glyphs, sign)} ", style=_COLOURS.get(sign, ""))
    text.append(fit(state, 12, glyphs.more) + " ", style=_COLOURS.get(sign, ""))
    text.append(fit(clean_line(named), name_width - 1, glyphs.more) + " ")
    text.append(fit(phase, 12, glyphs.more) + " ")
    text.append(fit(age(run.get("created_at"), now), 8, glyphs.more) + " ")
    text.append(fit(clean_line(str(run.get("environment") or "")), 10, glyphs.more) + " ")
    text.append(fit(steered(run), 14, glyphs.more), style="red" if lost(run) else "")
    return text


def lost(run: Mapping[str, Any]) -> bool:
    """Whether an engine should be at work and none is."""
    return bool(run.get("engine_lost"))


def steered(run: Mapping[str, Any]) -> str:
    """Who holds control, or how its engine is."""
    holder = (run.get("control") or {}).get("holder")
    if lost(run):
        return _("engine lost")
    if holder:
        return clean_line(str(holder))
    if run.get("engine_alive"):
        return _("engine alive")
    return _("resumable") if run.get("state") and unfinished(run) else ""  # nobody knows of one that can't be read


def age(created: Any, now: datetime) -> str:
    """How long ago a run was made: `5 min`, `3 h`, `2 d`."""
    try:
        passed = (now - datetime.fromisoformat(str(created))).total_seconds()
    except (ValueError, TypeError):
        return "?"
    if passed < 60:
        return _("now")
    for size, template in ((86_400, N_("{n} d")), (3600, N_("{n} h")), (60, N_("{n} min"))):
        if passed >= size:
            return _(template).format(n=int(passed // size))
    return "?"


def _configs(configs: Sequence[FoundConfig], glyphs: Glyphs, width: int) -> Iterator[Line]:
    if not configs:
        return
    yield _heading(_("Configs in this folder"), width)
    for config in configs:
        yield Line(id=f"{CONFIG}{config.path}", text=_config_line(config, glyphs, width))


def _config_line(config: FoundConfig, glyphs: Glyphs, width: int) -> Text:
    if config.problems:
        said = ngettext("{n} problem", "{n} problems", config.problems).format(n=config.problems)
        sign, style = glyphs.failed, "red"
    else:
        said, sign, style = f"{config.name}, {config.kind}", glyphs.todo, ""
    text = Text()
    text.append(f"{sign} ", style=style)
    text.append(fit(clean_line(config.path.name), 30, glyphs.more) + " ")
    text.append(fit(clean_line(said), max(10, width - 33), glyphs.more), style=style)
    return text


def _starts(width: int) -> Iterator[Line]:
    yield _heading(_("Begin"), width)
    for name, key, title in STARTS:
        text = Text()
        text.append(f"{key} ", style="bold cyan")
        text.append(fit(_(title), width - 2))
        yield Line(id=f"{START}{name}", text=text)
