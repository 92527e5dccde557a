"""Questions at a gate: what a person, or `--yes`, has to answer before the next phase begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class QuestionKind(StrEnum):
    """What is asked."""

    WARNING = "warning"  # a finding of that severity
    ITEM = "item"  # a checklist item that is open
    OBJECT = "object"  # an object that can't be carried
    PLAN = "plan"  # the plan as a whole
    TYPED = "typed"  # a step whose danger asks for the run's name


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One open question. `id` is stable: an answer given once holds until what it is about changes."""

    kind: QuestionKind
    id: str
    params: dict[str, str | int | float | None] = field(default_factory=dict)
