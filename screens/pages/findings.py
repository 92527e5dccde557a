"""Findings: what was found, why it matters, how to fix it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from screens.glyphs import Glyphs
from screens.pages.lines import DIM, GOOD, SHOWN, Page, blank, fits, line, marked, severity
from screens.pages.view import PlanView
from screens.widgets.document import Line
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.texts import Words, shown
from stepflow_tui.engine.texts.language import N_, _
from stepflow_tui.render import words


class FindingsPage(Page[PlanView]):
    """The heaviest first."""

    NAME: ClassVar[str] = N_("Findings")
    HELP: ClassVar[str] = N_(
        "What checks, census and planning found. A blocking finding stops the run and can't be accepted; a warning is asked for at"
        " the gate; the rest is to know. / leaves only what fits."
    )
    FILTERS: ClassVar[bool] = True

    def lines(self, view: PlanView, needle: str, glyphs: Glyphs) -> Iterator[Line]:
        """One block per finding."""
        said = [(f, shown(f)) for f in view.findings]
        fitting = [(f, w) for f, w in said if fits(needle, f.code, f.object, f.severity.value, w.what, w.why, w.fix)]
        yield from finding_lines(fitting, glyphs, narrowed=bool(needle))


def finding_lines(said: Sequence[tuple[Finding, Words]], glyphs: Glyphs, *, narrowed: bool) -> Iterator[Line]:
    """Findings with their words, the heaviest first, their numbers on top; `narrowed` by a filter, none says little."""
    order = list(Severity)
    if not said and narrowed:
        yield line(_("Nothing fits."), DIM)
        return
    if not said:
        yield line(f"{glyphs.done} {_('nothing found')}", GOOD)
        return
    counts = ((s, sum(f.severity is s for f, _w in said)) for s in order)
    yield line(words.listed(words.counted(n, words.term(s.value)) for s, n in counts if n), DIM)
    yield blank()
    for finding, text in sorted(said, key=lambda pair: order.index(pair[0].severity))[:SHOWN]:
        yield from finding_block(finding, text, glyphs)
    if len(said) > SHOWN:
        yield line(_("and {count} more; / finds them").format(count=words.count(len(said) - SHOWN)), DIM)


def finding_block(finding: Finding, text: Words, glyphs: Glyphs) -> Iterator[Line]:
    """One finding."""
    sign, word, style = severity(finding.severity, glyphs)
    about = f" · {finding.object}" if finding.object else ""
    yield marked(sign, word.upper(), f"{finding.code}{about}", style)
    yield line(text.what, indent=2, hang=2)
    if text.why:
        yield line(_("why: {text}").format(text=text.why), DIM, indent=2)
    for number, part in enumerate(text.fix.splitlines()):
        yield line(_("fix: {text}").format(text=part) if number == 0 else f"     {part}", indent=2)
    yield blank()
