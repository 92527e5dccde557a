"""The figures of the demo's shop as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stepflow_tui.engine.texts.language import _
from stepflow_tui.render import words

Figures = Mapping[str, Any]
"""What `stepflow_tui.demo.shop` tells about itself; {} where there is no shop."""


def shop_line(figures: Figures) -> str:
    """How much was acknowledged and how much of it is lost; empty without a shop."""
    if figures.get("acknowledged") is None:
        return ""
    lost = figures.get("lost")
    return _("shop: {count} writes acknowledged, lost: {lost}").format(
        count=words.count(figures["acknowledged"]), lost=_("not counted yet") if lost is None else words.count(lost)
    )


def is_right(figures: Figures) -> bool:
    """Whether the shop came to its end and found everything as it had been acknowledged, and nothing else."""
    return bool(figures.get("ended")) and figures.get("lost") == 0 and not figures.get("wrong")


def shop_report(figures: Figures, *, in_place: bool = False) -> Iterator[str]:
    """What became of the shop's writes and reads, at its end. `in_place`: its database stayed where it was."""
    if not figures:
        return
    if in_place:
        yield from _one_side(figures)
        yield from _verdict(figures)
        return
    yield _("acknowledged writes: {count} ({old} in SQLite, {new} in PostgreSQL)").format(
        count=words.count(figures.get("acknowledged")), **_sides(figures.get("writes"))
    )
    reads = figures.get("reads") or {}
    yield _("reads: {count} ({old} from SQLite, {new} from PostgreSQL), {failed} failed").format(
        count=words.count(sum(reads.values())), failed=words.count(figures.get("read_errors")), **_sides(reads)
    )
    yield _("longest wait for a write: {time}; {failed} failed").format(
        time=words.seconds((figures.get("longest_wait_ms") or 0) / 1000),
        failed=words.count(figures.get("write_errors")),
    )
    yield from _verdict(figures)


def _one_side(figures: Figures) -> Iterator[str]:
    yield _("acknowledged writes: {count}, {failed} failed").format(
        count=words.count(figures.get("acknowledged")), failed=words.count(figures.get("write_errors"))
    )
    yield _("reads: {count}, {failed} failed").format(
        count=words.count(sum((figures.get("reads") or {}).values())), failed=words.count(figures.get("read_errors"))
    )
    yield _("longest wait for a write: {time}").format(time=words.seconds((figures.get("longest_wait_ms") or 0) / 1000))


def _sides(counts: Any) -> dict[str, str]:
    counts = counts or {}
    return {"old": words.count(counts.get("sqlite", 0)), "new": words.count(counts.get("postgresql", 0))}


def _verdict(figures: Figures) -> Iterator[str]:
    if not figures.get("ended"):
        yield _("NOT CHECKED: the shop did not come to count its writes at the end.")
        return
    yield _("acknowledged writes lost: {count}").format(count=words.count(figures.get("lost")))
    if figures.get("lost"):
        yield _("THAT MUST NEVER HAPPEN: writes were acknowledged to the shop and are gone.")
    if figures.get("wrong"):
        yield _(
            "THAT MUST NEVER HAPPEN: {count} orders are there twice, in another form, or again after they went."
        ).format(count=words.count(figures["wrong"]))
