"""How the share of reads rises: the five strategies as data, and one pure function that decides the next move.

It knows no database and no clock: the caller gives monotonic seconds and figures, and carries the decision out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from stepflow_tui.client.buckets import BUCKETS
from stepflow_tui.engine.model.config import SwitchReads
from stepflow_tui.engine.switch.guard import Alarm, Count

SHADOW_PASS: Final = 1_000
"""So many reads of the new side do for `immediate` in place of the engine's own shadow pass."""

HALF: Final = 0.5
"""Nothing is promoted while a test stands at more than half its limit."""

_Z: Final = 2.576
"""Standard deviations for a verdict at 99 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage. `share` in hundredths of a per cent; `soak` in seconds; `samples`: reads that it needs at least, beyond
    what the guard needs; `shadow_pass`: it needs a pass of the shadow reads over all tables; `verdict`: it ends with a
    verdict, and a person goes on."""

    share: int
    soak: float
    samples: int = 0
    shadow_pass: bool = False
    verdict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A strategy's stages; the last but for `ab` is all reads."""

    name: str
    stages: tuple[Stage, ...]

    def stage_of(self, share: int) -> int:
        """The stage that a share set by hand belongs to: the last one that is not above it."""
        return max((n for n, stage in enumerate(self.stages) if stage.share <= share), default=0)


def strategy_of(config: SwitchReads) -> Strategy:
    """The strategy as configured."""
    everything = Stage(share=BUCKETS, soak=config.soak)
    stages: tuple[Stage, ...]
    if config.strategy == "immediate":
        stages = (Stage(share=0, soak=0.0, shadow_pass=True), everything)
    elif config.strategy == "canary":
        stages = (Stage(share=round(config.canary.share * BUCKETS), soak=config.canary.soak), everything)
    elif config.strategy == "ab":
        share = round(config.ab.share * BUCKETS)
        stages = (Stage(share=share, soak=0.0, samples=config.ab.samples, verdict=True), everything)
    elif config.strategy == "blue-green":
        stages = (everything,)
    else:
        stages = tuple(Stage(share=percent * BUCKETS // 100, soak=config.soak) for percent in config.steps)
    return Strategy(name=config.strategy, stages=stages)


class Do(StrEnum):
    """What to do."""

    BEGIN = "begin"  # give the first stage its share
    HOLD = "hold"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    INCONCLUSIVE = "inconclusive"  # no data, or too little: nothing moves
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Where the switch stands. `since`: monotonic seconds when this share began to be held; `armed` is false after an
    automatic rollback; `held`: a person keeps the share; `grouped`: named users and groups read the new side."""

    stage: int
    share: int
    since: float
    armed: bool = True
    held: bool = False
    grouped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was measured since this share began to be held: reads of both sides (shadow reads count), and the guard's word.

    `level` and `needed` are the guard's; `both_fail`: the old side is as bad; `behind`: the new side is too far behind or
    out of reach, so it is not read; `passed`: the shadow reads have been through all tables since; `nothing`: and no table
    had a row that they could read.
    """

    new: Count = field(default_factory=Count)
    old: Count = field(default_factory=Count)
    alarm: Alarm | None = None
    both_fail: bool = False
    level: float = 0.0
    needed: int = 0
    behind: bool = False
    passed: bool = False
    nothing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do, at which stage and share then, and why: a code of `texts.switching.VERDICTS` with parameters."""

    do: Do
    stage: int
    share: int
    code: str
    params: dict[str, Any] = field(default_factory=dict)
    soak_left: float = 0.0


def advance(strategy: Strategy, state: State, seen: Figures, now: float) -> Decision:
    """The next move.

    Args:
        strategy: the stages.
        state: where it stands.
        seen: what was measured.
        now: monotonic seconds.
    """
    if not state.armed:
        return _stay(state, Do.HOLD, "rolled_back")
    if seen.alarm is not None:
        return _alarmed(state, seen.alarm)
    if seen.both_fail:
        return _stay(state, Do.INCONCLUSIVE, "both_fail")
    if state.held:
        return _stay(state, Do.HOLD, "held")
    if seen.behind:
        return _stay(state, Do.INCONCLUSIVE, "behind")
    if not state.share and strategy.stages[0].share:
        return Decision(do=Do.BEGIN, stage=0, share=strategy.stages[0].share, code="measuring")
    return _measured(strategy, state, seen, now)


def _alarmed(state: State, alarm: Alarm) -> Decision:
    """Back to 0; where nobody reads the new side yet, nothing has to move, but nothing rises either."""
    told = {"signal": alarm.signal.value, **alarm.params}
    if state.share or state.grouped:
        return Decision(do=Do.ROLL_BACK, stage=0, share=0, code="worse", params=told)
    return _stay(state, Do.HOLD, "worse", **told)


def _measured(strategy: Strategy, state: State, seen: Figures, now: float) -> Decision:
    stage = strategy.stages[state.stage]
    wanted = max(seen.needed, stage.samples)
    left = max(0.0, stage.soak - (now - state.since))
    if stage.verdict and state.share == stage.share:
        return _side_by_side(state, seen, wanted)
    if stage.shadow_pass and state.share == stage.share:
        if not seen.passed and seen.new.reads < SHADOW_PASS:
            return _stay(state, Do.HOLD if seen.new.reads else Do.INCONCLUSIVE, "passing")
        wanted = 0
    if seen.new.reads < wanted and not seen.nothing:
        code = "measuring" if left else "inconclusive"
        do = Do.HOLD if left else Do.INCONCLUSIVE
        return replace(_stay(state, do, code, count=seen.new.reads, wanted=wanted), soak_left=left)
    if left:
        return replace(_stay(state, Do.HOLD, "measuring"), soak_left=left)
    if seen.level >= HALF:
        return _stay(state, Do.HOLD, "suspicious")
    if state.share == BUCKETS:
        return _stay(state, Do.DONE, "healthy")
    following = next(n for n, one in enumerate(strategy.stages) if one.share > state.share)
    return Decision(do=Do.PROMOTE, stage=following, share=strategy.stages[following].share, code="healthy")


def _side_by_side(state: State, seen: Figures, wanted: int) -> Decision:
    """Both sides need the stated number of reads; then a person decides."""
    fewer = min(seen.new.reads, seen.old.reads)
    if fewer < wanted:
        return _stay(state, Do.HOLD if fewer else Do.INCONCLUSIVE, "measuring", count=fewer, wanted=wanted)
    return _stay(state, Do.HOLD, verdict(seen.new, seen.old))


def verdict(new: Count, old: Count) -> str:
    """`better`, `worse` or `equal`: whether the rates of bad reads differ, by a two-sided test at 99 %."""
    together = Count(new.bad + old.bad, new.reads + old.reads).rate
    variance = together * (1 - together) * (1 / new.reads + 1 / old.reads)
    apart = new.rate - old.rate
    if apart * apart <= _Z * _Z * variance:
        return "equal"
    return "worse" if apart > 0 else "better"


def _stay(state: State, do: Do, code: str, **params: Any) -> Decision:
    return Decision(do=do, stage=state.stage, share=state.share, code=code, params=params)


def percentages(strategy: Strategy) -> Iterator[float]:
    """The stages' shares as people read them."""
    return (stage.share * 100 / BUCKETS for stage in strategy.stages)
