"""How often and how long one measures."""

from __future__ import annotations

from stepflow_tui.engine.bench.rounds import Timing
from stepflow_tui.engine.model.config_wal import Benchmark

QUICK_ROUNDS, QUICK_SECONDS = 3, 0.3


def timing_of(config: Benchmark, *, quick: bool) -> Timing:
    """The config's, or what is just enough for an interval."""
    rounds, seconds = (QUICK_ROUNDS, QUICK_SECONDS) if quick else (config.rounds, config.seconds)
    return Timing(rounds=rounds, seconds=seconds, batch=config.batch)
