"""The state machine of the strategies, alone: no database, no clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from stepflow_tui.engine.model.config import SwitchReads
from stepflow_tui.engine.switch.guard import Alarm, Count, Signal
from stepflow_tui.engine.switch.strategies import (
    Decision,
    Do,
    Figures,
    State,
    Strategy,
    advance,
    percentages,
    strategy_of,
    verdict,
)
from stepflow_tui.engine.texts.switching import VERDICTS

GOOD = Figures(new=Count(5, 5_000), old=Count(5, 5_000), needed=750)
ALARM = Alarm(signal=Signal.ERRORS, new=9.0, old=0.1)
NAMES = ("immediate", "gradual", "canary", "ab", "blue-green")


def strategy(name: str, **config: object) -> Strategy:
    return strategy_of(SwitchReads.model_validate({"strategy": name, "soak": 60.0} | config))


def climb(chosen: Strategy, seen: Figures, *, seconds: float = 10.0, rounds: int = 2_000) -> list[tuple[float, int]]:
    """Every move while the figures stay the same: when, and to which share."""
    state, now, moves = State(stage=0, share=0, since=0.0), 0.0, []
    for _ in range(rounds):
        now += seconds
        decision = advance(chosen, state, seen, now)
        if decision.do in (Do.BEGIN, Do.PROMOTE):
            moves.append((now, decision.share))
            state = replace(state, stage=decision.stage, share=decision.share, since=now)
        if decision.do is Do.DONE:
            break
    return moves


@pytest.mark.parametrize(
    ("name", "shares", "times"),
    [
        ("gradual", [100, 500, 2_500, 5_000, 10_000], [10, 70, 130, 190, 250]),
        ("immediate", [10_000], [10]),
        ("canary", [100, 10_000], [10, 3_610]),
        ("blue-green", [10_000], [10]),
        ("ab", [5_000], [10]),
    ],
)
def test_each_strategy_climbs_as_it_is_defined(name: str, shares: list[int], times: list[float]) -> None:
    moves = climb(strategy(name), replace(GOOD, new=Count(5, 20_000), old=Count(5, 20_000)))
    assert [share for _, share in moves] == shares
    assert [when for when, _ in moves] == times


@pytest.mark.parametrize("name", NAMES)
def test_silence_is_not_health(name: str) -> None:
    moves = climb(strategy(name), Figures(needed=750), seconds=600.0)
    assert len(moves) <= 1  # the first stage, and nothing more


@pytest.mark.parametrize("name", NAMES)
def test_an_alarm_takes_everything_back_whatever_the_stage(name: str) -> None:
    chosen = strategy(name)
    for stage, one in enumerate(chosen.stages):
        state = State(stage=stage, share=one.share, since=0.0, held=bool(stage % 2))
        found = advance(chosen, state, replace(GOOD, alarm=ALARM), 1e6)
        assert found.do is (Do.ROLL_BACK if one.share else Do.HOLD)
        assert found.share == 0
        assert found.code == "worse"
        disarmed = advance(chosen, replace(state, armed=False, share=0), replace(GOOD, alarm=ALARM), 1e6)
        assert disarmed.do is Do.HOLD


def test_the_first_window_of_a_step_is_as_long_as_the_soak() -> None:
    chosen, state = strategy("gradual"), State(stage=1, share=500, since=100.0)
    assert advance(chosen, state, GOOD, 159.9).do is Do.HOLD
    assert advance(chosen, state, GOOD, 159.9).soak_left == pytest.approx(0.1)
    assert advance(chosen, state, GOOD, 160.0) == Decision(do=Do.PROMOTE, stage=2, share=2_500, code="healthy")
    assert advance(chosen, state, replace(GOOD, level=0.5), 160.0).do is Do.HOLD
    assert advance(chosen, state, replace(GOOD, new=Count(0, 749)), 160.0).do is Do.INCONCLUSIVE
    assert advance(chosen, state, replace(GOOD, behind=True), 160.0).do is Do.INCONCLUSIVE
    assert advance(chosen, state, replace(GOOD, both_fail=True), 160.0).do is Do.INCONCLUSIVE
    assert advance(chosen, replace(state, held=True), GOOD, 160.0).do is Do.HOLD


def test_a_share_set_by_hand_goes_on_at_the_next_step_above() -> None:
    chosen = strategy("gradual")
    for share, stage, following in ((50, 0, 100), (1_000, 1, 2_500), (2_500, 2, 5_000), (9_999, 3, 10_000)):
        assert chosen.stage_of(share) == stage
        found = advance(chosen, State(stage=stage, share=share, since=0.0), GOOD, 1e6)
        assert (found.do, found.share) == (Do.PROMOTE, following)


def test_a_canary_of_a_group_begins_without_a_share() -> None:
    chosen = strategy("canary", canary={"share": 0.0}, groups=("beta",))
    state = State(stage=0, share=0, since=0.0, grouped=True)
    assert advance(chosen, state, GOOD, 1.0).do is Do.HOLD
    assert advance(chosen, state, replace(GOOD, alarm=ALARM), 1.0).do is Do.ROLL_BACK
    assert advance(chosen, state, GOOD, 3_600.0).share == 10_000


def test_a_canary_of_nobody_is_refused() -> None:
    with pytest.raises(ValidationError, match="a canary of nobody"):
        SwitchReads.model_validate({"strategy": "canary", "canary": {"share": 0.0}})


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (Count(50, 10_000), Count(50, 10_000), "equal"),
        (Count(60, 10_000), Count(50, 10_000), "equal"),
        (Count(100, 10_000), Count(50, 10_000), "worse"),
        (Count(50, 10_000), Count(100, 10_000), "better"),
        (Count(0, 10_000), Count(0, 10_000), "equal"),
        (Count(10_000, 10_000), Count(0, 10_000), "worse"),
    ],
)
def test_the_verdict_of_ab(new: Count, old: Count, expected: str) -> None:
    assert verdict(new, old) == expected
    chosen = strategy("ab")
    state = State(stage=0, share=5_000, since=0.0)
    found = advance(chosen, state, Figures(new=new, old=old, needed=750), 1e6)
    assert (found.do, found.code) == (Do.HOLD, expected)
    few = advance(chosen, state, Figures(new=new, old=replace_reads(old), needed=750), 1e6)
    assert few.code == "measuring"


def test_immediate_waits_for_a_shadow_pass_or_as_many_reads() -> None:
    chosen, state = strategy("immediate"), State(stage=0, share=0, since=0.0)
    few = Figures(new=Count(0, 5), old=Count(0, 5), needed=750)
    waiting = advance(chosen, state, few, 1e6)
    assert (waiting.do, waiting.code) == (Do.HOLD, "passing")
    assert waiting.code in VERDICTS
    assert advance(chosen, state, replace(few, passed=True), 0.0).share == 10_000
    assert advance(chosen, state, replace(few, new=Count(0, 1_000)), 0.0).share == 10_000
    assert advance(chosen, state, replace(few, passed=True, alarm=ALARM), 0.0).code == "worse"


@pytest.mark.parametrize("name", ["immediate", "gradual", "canary", "blue-green"])
def test_a_source_without_rows_is_measured_by_a_pass_over_nothing(name: str) -> None:
    chosen = strategy(name)
    empty = Figures(needed=60, passed=True, nothing=True)
    assert climb(chosen, empty)[-1][1] == 10_000
    assert climb(chosen, replace(empty, nothing=False, passed=False))[-1:] in ([], [(10.0, chosen.stages[0].share)])
    last = State(stage=len(chosen.stages) - 1, share=10_000, since=0.0)
    assert advance(chosen, last, empty, 1e6).do is Do.DONE


def test_ab_of_nothing_has_no_verdict() -> None:
    state = State(stage=0, share=5_000, since=0.0)
    assert advance(strategy("ab"), state, Figures(needed=60, passed=True, nothing=True), 1e6).do is Do.INCONCLUSIVE


def replace_reads(count: Count) -> Count:
    return Count(min(count.bad, 9_999), 9_999)


figures = st.builds(
    Figures,
    new=st.builds(Count, bad=st.just(0), reads=st.integers(0, 20_000)),
    old=st.builds(Count, bad=st.just(0), reads=st.integers(0, 20_000)),
    alarm=st.sampled_from([None, None, None, ALARM]),
    both_fail=st.booleans(),
    level=st.floats(0, 2),
    needed=st.integers(1, 2_000),
    behind=st.booleans(),
)


@given(
    st.sampled_from(NAMES),
    st.lists(st.tuples(figures, st.floats(0, 5_000)), max_size=40),
    st.booleans(),
)
def test_whatever_happens_the_rules_hold(name: str, story: list[tuple[Figures, float]], held: bool) -> None:
    """Reads rise by one stage at a time, only on enough reads and after the soak; they fall to 0 or not at all; after a
    fall nothing moves until somebody arms the switch."""
    chosen = strategy(name)
    shares = [stage.share for stage in chosen.stages]
    state, now = State(stage=0, share=0, since=0.0, held=held), 0.0
    for seen, seconds in story:
        now += seconds
        found = advance(chosen, state, seen, now)
        assert found.code in VERDICTS
        if found.do is Do.PROMOTE:
            assert seen.new.reads >= max(seen.needed, chosen.stages[state.stage].samples)
            assert now - state.since >= chosen.stages[state.stage].soak
            assert not any((seen.alarm, seen.both_fail, seen.behind, held))
            assert seen.level < 0.5
            assert found.share == min(share for share in shares if share > state.share)
        elif found.do is Do.ROLL_BACK:
            assert found.share == 0
            assert seen.alarm is not None
        elif found.do is not Do.BEGIN:
            assert found.share == state.share
        assert state.armed or found.do is Do.HOLD
        if found.share != state.share:
            state = replace(state, stage=found.stage, share=found.share, since=now, armed=found.do is not Do.ROLL_BACK)
        elif found.do is Do.BEGIN:
            state = replace(state, since=now)


def test_percentages_are_as_people_read_them() -> None:
    assert list(percentages(strategy("gradual"))) == [1, 5, 25, 50, 100]
    assert list(percentages(strategy("canary", canary={"share": 0.005}))) == [0.5, 100]
