"""The part of a config file that a database which stays in its place has: no target, and its own sections."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import PydanticCustomError

from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade.compose_words import plain
from stepflow_tui.engine.model.config_units import parse_duration
from stepflow_tui.engine.model.config_wal import PAGE_SIZES
from stepflow_tui.engine.model.draft import Draft
from stepflow_tui.engine.texts.language import N_, _

COMMENTS: dict[str, str] = {
    "max_wait": N_("how long it looks for a moment in which nobody reads or writes"),
    "page_size": N_("changed before the conversion; afterwards SQLite can't"),
    "pragmas": N_("what each connection should set; `stepflow pragmas` explains them"),
    "probe": N_("prints what your application has set, as JSON: `stepflow pragmas --probe`"),
    "max_bytes": N_("a larger -wal is an alert"),
    "benchmark": N_("before and after, on scratch copies of your database"),
    "rounds": N_("how often both sides take turns"),
    "limits": N_("what counts as met; config.example.yaml lists them all"),
    "observe": N_("how long the new mode is watched; left out: 1m while somebody uses it"),
}
"""What stands beside the keys."""
_COLUMN = 32


def check_wal(draft: Draft) -> None:
    """Whether a config can hold the answers.

    Raises:
        UsageError: a length of time that is none, a page size that SQLite doesn't have.
    """
    if _seconds(draft.max_wait) <= 0:
        raise UsageError(f"{draft.max_wait!r} is no time to wait.", hint="Such as 60s, 5m or 1h.", code="bad_wait")
    if draft.observe and _seconds(draft.observe, least=-1.0) < 0:
        raise UsageError(
            f"{draft.observe!r} is no time to watch.", hint="Such as 1m, 2h or 0s.", code="bad_observation"
        )
    if draft.page_size and draft.page_size not in map(str, PAGE_SIZES):
        raise UsageError(
            f"{draft.page_size!r} is no page size of SQLite.",
            hint="A power of two from 512 to 65536, such as 4096; empty: as it is.",
            code="page_size",
        )


def _seconds(text: str, *, least: float = 0.0) -> float:
    """A length of time; `least` where it is none."""
    try:
        seconds = parse_duration(text)
    except PydanticCustomError:
        return least
    return float(seconds) if isinstance(seconds, int | float) else least


def wal_lines(draft: Draft) -> Iterator[str]:
    """Conversion, benchmark and observation; what has a good default stands there as a comment."""
    yield "wal:"
    yield _line(f"  max_wait: {plain(draft.max_wait)}", "max_wait")
    yield _line(f"  page_size: {draft.page_size}" if draft.page_size else "  # page_size: 8192", "page_size")
    yield _line("  # pragmas: {cache_size: -20000}", "pragmas")
    yield _line("  # probe: ./probe.sh", "probe")
    yield _line("  # max_bytes: 100MiB", "max_bytes")
    yield _line("# benchmark:", "benchmark")
    yield "#   writers: 4"
    yield "#   readers: 4"
    yield _line("#   rounds: 5", "rounds")
    yield _line("#   limits: {p95: 5ms}", "limits")
    if draft.observe:
        yield "observe:"
        yield _line(f"  window: {plain(draft.observe)}", "observe")
    else:
        yield _line("# observe: {window: 1h}", "observe")


def _line(setting: str, comment: str) -> str:
    return f"{setting:{_COLUMN - 1}} # {_(COMMENTS[comment])}"
