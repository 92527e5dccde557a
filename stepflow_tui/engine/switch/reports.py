"""What routers report, checked: it comes from outside, so whatever can't be is dropped as a whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stepflow_tui.client.figures import Pair
from stepflow_tui.engine.postgres.switch import Report

MOST_SUSPECTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A row that an application saw differ: source table and canonical key text."""

    table: str
    key: str


@dataclass(slots=True, kw_only=True)
class Batch:
    """Figures of some time: reads of applications, shadow reads (the side asked in addition), and what these have shown.

    `mismatches` are confirmed; `moving` rows kept changing; `skipped` shadow reads were over the budget.
    """

    reads: Pair = field(default_factory=Pair)
    shadow: Pair = field(default_factory=Pair)
    shadows: int = 0
    mismatches: int = 0
    moving: int = 0
    skipped: int = 0
    suspects: list[Suspect] = field(default_factory=list)
    refused: int = 0  # reports that can't be

    def merge(self, other: Batch) -> None:
        """Add the other's figures."""
        self.reads.merge(other.reads)
        self.shadow.merge(other.shadow)
        self.shadows += other.shadows
        self.mismatches += other.mismatches
        self.moving += other.moving
        self.skipped += other.skipped
        self.suspects = [*self.suspects, *other.suspects][:MOST_SUSPECTS]
        self.refused += other.refused

    @property
    def both(self) -> Pair:
        """All reads that say something about a side."""
        pair = Pair()
        pair.merge(self.reads)
        pair.merge(self.shadow)
        return pair


def gathered(reports: Iterable[Report]) -> Batch:
    """All reports as one batch."""
    batch = Batch()
    for report in reports:
        try:
            batch.merge(_parsed(report.body))
        except (ValueError, TypeError, KeyError, RecursionError):
            batch.refused += 1
    return batch


def _parsed(body: str) -> Batch:
    data = json.loads(body)
    if not isinstance(data, dict):
        raise ValueError("no object")
    return Batch(
        reads=Pair.of(_mapping(data.get("reads", {}))),
        shadow=Pair.of(_mapping(data.get("shadow", {}))),
        shadows=_count(data, "shadows"),
        mismatches=_count(data, "mismatches"),
        moving=_count(data, "moving"),
        skipped=_count(data, "skipped"),
        suspects=[_suspect(one) for one in data.get("suspects", [])[:MOST_SUSPECTS]],
    )


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("no object")
    return value


def _count(data: Mapping[str, Any], name: str) -> int:
    value = data.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError("no count")
    return value


def _suspect(one: object) -> Suspect:
    data = _mapping(one)
    return Suspect(table=str(data["table"])[:1000], key=str(data["key"])[:1000])
