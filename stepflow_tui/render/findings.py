"""Findings as text and as JSON; the words come from the engine's texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.texts import render, shown
from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words
from stepflow_tui.render.width import pad

_ORDER = (Severity.BLOCKING, Severity.WARNING, Severity.INFO)


def finding_of(event: Mapping[str, Any]) -> Finding:
    """The finding that a journal event tells of."""
    return Finding(
        code=event["code"],
        severity=Severity(event["severity"]),
        params=event.get("params") or {},
        object=event.get("object"),
    )


def finding_json(finding: Finding) -> dict[str, Any]:
    """severity code what why fix object.

    Always English: programs read it, and the same journal must give the same bytes in every environment.
    """
    said = render(finding)
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "what": said.what,
        "why": said.why,
        "fix": said.fix,
        "object": finding.object,
    }


def finding_lines(finding: Finding) -> Iterator[str]:
    """One finding: what was found, then why it matters and how to fix it, indented."""
    said = shown(finding)
    severity = words.term(finding.severity.value).upper()
    yield f"{pad(severity, 8)}  {words.about(finding.code, said.what)}"
    for i, line in enumerate(said.why.splitlines()):  # the end of a log has many
        yield "          " + (_("why: {text}").format(text=line) if i == 0 else f"     {line}")
    for i, line in enumerate(said.fix.splitlines()):
        yield "          " + (_("fix: {text}").format(text=line) if i == 0 else f"     {line}")


def findings_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """All findings, the heaviest first, and their number."""
    listed = sorted(findings, key=lambda f: _ORDER.index(f.severity))
    for finding in listed:
        yield from finding_lines(finding)
    counts = ((s, sum(f.severity is s for f in listed)) for s in _ORDER)
    yield words.listed(words.counted(n, words.term(s.value)) for s, n in counts if n) or _("nothing found")
