"""A problem as `doctor` tells it: a code with its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.redact import Redact
from stepflow_tui.engine.texts.doctor import PROBLEMS
from stepflow_tui.engine.texts.language import _, known

KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem. `evidence`: what was seen, line by line."""

    code: str
    severity: Severity = Severity.WARNING
    params: Mapping[str, Any] = field(default_factory=dict)
    evidence: Sequence[str] = ()

    @property
    def counts(self) -> bool:
        """Whether `doctor` ends with 4 because of it."""
        return self.severity is not Severity.INFO


def told(problem: Problem, redact: Redact) -> dict[str, Any]:
    """{code severity what why fix check evidence params}, in the language in use, without secrets."""
    params = {key: redact(known(value)) if isinstance(value, str) else value for key, value in problem.params.items()}
    words = PROBLEMS[problem.code]._asdict()
    texts = {name: redact(_(text).format(**params)) for name, text in words.items()}
    evidence = [redact(line) for line in problem.evidence]
    return {"code": problem.code, "severity": problem.severity.value, **texts, "evidence": evidence, "params": params}


def size(value: float) -> str:
    """`1.5 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if value < KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= KIB
    return f"{value:.1f} GiB"


def milliseconds(seconds: float) -> str:
    """`12 ms`."""
    return f"{seconds * 1000:.0f} ms"
