"""Which migration fits: the answers, and the recommendation as codes and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

Param = str | int | float | None
"""A value in a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a person said; None: not asked, or not known."""

    writers: int | None = None
    locked: bool | None = None
    requests: float | None = None
    users: int | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence as code and parameters; `size` is in bytes."""

    code: str
    params: dict[str, Param] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """The kind to use (None: stay as you are), why, and what else to know. `built`: this version can carry it out."""

    kind: str | None
    built: bool
    reasons: tuple[Reason, ...]
    also: tuple[Reason, ...] = ()
