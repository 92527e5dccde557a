"""Findings as text and as JSON; the words come from the engine's texts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.texts import render

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
    """severity code what why fix object."""
    words = render(finding)
    return {
        "severity": finding.severity.value,
        "code": finding.code,
        "what": words.what,
        "why": words.why,
        "fix": words.fix,
        "object": finding.object,
    }


def finding_lines(finding: Finding) -> Iterator[str]:
    """One finding: what was found, then why it matters and how to fix it, indented."""
    words = render(finding)
    yield f"{finding.severity.value.upper():8}  {finding.code}: {words.what}"
    if words.why:
        yield f"          why: {words.why}"
    for i, line in enumerate(words.fix.splitlines()):
        yield ("          fix: " if i == 0 else "               ") + line


def findings_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """All findings, the heaviest first, and their number."""
    listed = sorted(findings, key=lambda f: _ORDER.index(f.severity))
    for finding in listed:
        yield from finding_lines(finding)
    counts = ", ".join(f"{n} {s.value}" for s in _ORDER if (n := sum(f.severity is s for f in listed)))
    yield counts or "nothing found"
