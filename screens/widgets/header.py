"""The run's first line: which run, where, how it is, who steers it, what time it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from screens.glyphs import Glyphs
from screens.host import host
from screens.panels.base import Value
from screens.run_words import ENDED, Status, lost_alert, route
from screens.widgets.cells import cut
from screens.widgets.fitting import clock, cut_text, joined
from stepflow_tui.bridge import Snapshot
from stepflow_tui.engine.texts.language import _, ngettext
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean_line

SHORT_NAME = 20
STATES: dict[str, tuple[str, str]] = {
    "pending": ("todo", "bold"),
    "running": ("now", "bold cyan"),
    "waiting": ("confirm", "bold yellow"),
    "pausing": ("paused", "bold yellow"),
    "paused": ("paused", "bold yellow"),
    "observing": ("now", "bold cyan"),
    "rolling_back": ("now", "bold yellow"),
    "rolled_back": ("skipped", "bold"),
    "aborted": ("failed", "bold yellow"),
    "failed": ("failed", "bold red"),
    "incomplete": ("confirm", "bold yellow"),
    "completed": ("done", "bold green"),
}
"""Sign and style of each state of a run; the word is always there too."""


class RunHeader(Value):
    """The first line of the run screen."""

    DEFAULT_CSS = """
    RunHeader {
        height: 1;
        background: $panel;
        text-wrap: nowrap;
    }
    """

    def apply(self, snapshot: Snapshot, *, frozen: bool = False) -> None:
        """Show this state; drawn again only when the line reads differently."""
        app = host(self)
        time = clock(app.options.now(), seconds=not app.options.slow)
        tags = [_("READ-ONLY")] if app.options.read_only else []
        tags += [_("FROZEN")] if frozen else []
        self.show(header_line(snapshot, self.size.width, app.glyphs, time, tags=tags))


def header_line(snapshot: Snapshot, width: int, glyphs: Glyphs, time: str, *, tags: Sequence[str] = ()) -> Text:
    """The fullest line that fits."""
    line = Text()
    for parts in _variants(snapshot, glyphs, time, tags):
        line = Text(" ") + joined(parts, f" {glyphs.separator} ")
        if line.cell_len <= width:
            return line
    return cut_text(line, width, glyphs.more)


def _variants(snapshot: Snapshot, glyphs: Glyphs, time: str, tags: Sequence[str]) -> Iterator[Sequence[str | Text]]:
    status = snapshot.status
    name, way = clean_line(str(status.get("name") or snapshot.run)), route(status, glyphs.arrow)
    short = cut(name, SHORT_NAME, glyphs.more)
    place, state = environment(status), state_text(snapshot, glyphs) + _tagged(tags)
    run = _("run {id}").format(id=clean_line(snapshot.run).rsplit("-", 1)[-1])
    who, few = _people(status, glyphs), _watching(status)
    yield ("StepFlow", f"{name} ({way})" if way else name, place, state, run, who, f"{time} UTC")
    yield ("StepFlow", f"{short} ({way})" if way else short, place, state, run, who, time)
    yield ("StepFlow", short, place, state, run, who, time)
    yield (f"StepFlow {short}", place, state, run, few, time)
    yield (short, place, state, run, time)
    yield (state, place, short, time)


def environment(status: Status) -> Text:
    """Production stands out, in words too."""
    value = str(status.get("environment") or "")
    if value == "production":
        return Text(f" {_('PROD')} ", "bold reverse red")
    return Text(clean_line(words.term(value)) if value else "")


def state_text(snapshot: Snapshot, glyphs: Glyphs) -> Text:
    """Sign and word of the state, and how many phases are reached."""
    status = snapshot.status
    if snapshot.error is not None:
        return Text(f"{glyphs.failed} {_('NO NEWS')}", "bold red")
    if lost_alert(status) is not None:
        return Text(f"{glyphs.failed} {_('ENGINE LOST')}", "bold red")
    state = str(status.get("state") or "pending")
    sign, style = STATES.get(state, ("todo", "bold"))
    names = [p["name"] for p in status.get("phases") or ()]
    at = (
        ""
        if state in ENDED
        else f" {names.index(status['phase']) + 1}/{len(names)}"
        if status.get("phase") in names
        else ""
    )
    return Text(f"{getattr(glyphs, sign)} {clean_line(words.spaced(words.term(state))).upper()}{at}", style)


def _tagged(tags: Sequence[str]) -> Text:
    """What sets this view apart from others: that it is frozen, that it may only watch."""
    return Text().join(Text.assemble(" ", (f" {tag} ", "reverse yellow")) for tag in tags)


def _people(status: Status, glyphs: Glyphs) -> str:
    holder = (status.get("control") or {}).get("holder")
    if not holder:
        return _watching(status)
    who = str(holder)
    if cell_len(who) > SHORT_NAME:
        who = who.partition("@")[0]
    text = _("operator {name}").format(name=cut(clean_line(who), SHORT_NAME, glyphs.more))
    return words.listed((text, _watching(status)))


def _watching(status: Status) -> str:
    count = int(status.get("observers") or 0)
    return ngettext("{count} watching", "{count} watching", count).format(count=count)
