"""How far a run has proven both sides equal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Proven:
    """Every row was compared equal, and nothing but what was logged after entry `n` can differ."""

    n: int
