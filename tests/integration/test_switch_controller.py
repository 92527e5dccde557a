"""The controller over real databases, with time in the test's hands."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from stepflow_tui.client import bucket
from stepflow_tui.client.figures import Pair
from stepflow_tui.engine.errors import Refused, StepFlowError
from stepflow_tui.engine.model.config import SwitchReads
from stepflow_tui.engine.model.live import CTL, Lag
from stepflow_tui.engine.postgres import control, progress
from stepflow_tui.engine.postgres import switch as store
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.live_tables import install_live
from stepflow_tui.engine.switch.staleness import Staleness
from stepflow_tui.engine.switch.truth import LEASE_SECONDS, RENEW_SECONDS
from tests.switch_kit import RUN, Bench, HandClock, arm, bench, captured, reads

GOOD = reads(arm(2_000, 10), arm(2_000, 10))
BAD = reads(arm(200, 60), arm(200, 1))
Make = Callable[..., Bench]


@pytest.fixture
async def conn(pg_target: Target) -> AsyncIterator[asyncpg.Connection]:
    connection = await pg_target.connect()
    await control.install(connection, RUN)
    await install_live(connection)
    await store.install_switch(connection)
    yield connection
    connection.terminate()


@pytest.fixture
def make(tmp_path: Path, conn: asyncpg.Connection, pg_target: Target) -> Make:
    source = captured(tmp_path / "shop.db")

    def made(clock: HandClock | None = None, **config: Any) -> Bench:
        before = config.pop("before", {})
        found = SwitchReads(**({"soak": 60.0} | config))
        return bench(found, source, conn, pg_target, clock=clock, before=before)

    return made


async def row(conn: asyncpg.Connection) -> store.SwitchRow:
    found = await store.read_switch(conn)
    assert found is not None
    return found


async def at_half(make: Make, **config: Any) -> Bench:
    """At 50 % with figures of both sides."""
    b = make(**config)
    await b.tick()
    await b.controller.set_share(5_000, "ann")
    await b.tick(GOOD)
    b.events.clear()
    return b


async def test_gradual_climbs_by_its_steps_and_finishes(make: Make, conn: asyncpg.Connection) -> None:
    b = make()
    seen = []
    for _ in range(60):
        await b.tick(GOOD, seconds=10.0)
        seen.append(b.share)
        assert b.share == (await row(conn)).share
        if b.controller.finished.is_set():
            break
    assert b.moves == [1, 5, 25, 50, 100]
    assert sorted(set(seen)) == [100, 500, 2_500, 5_000, 10_000]
    assert seen == sorted(seen)
    assert min(seen.count(share) for share in set(seen)) >= 6  # each was held for its minute
    assert b.controller.finished.is_set()
    assert {"percentage": 100.0, "stage": 4, "stages": [1, 5, 25, 50, 100]}.items() <= b.gauge.items()
    assert b.gauge["new"]["requests"] > 0


async def test_silence_moves_nothing(make: Make) -> None:
    b = make()
    for _ in range(50):
        await b.tick(seconds=60.0)
    assert b.moves == [1]
    assert b.gauge["verdict"]["code"] == "inconclusive"
    assert not b.controller.finished.is_set()


async def test_too_few_reads_are_held_and_shadow_reads_count(make: Make) -> None:
    b = make(steps=(50, 100))
    for _ in range(10):
        await b.tick(reads(arm(5), arm(5)), seconds=60.0)
    assert b.moves == [50]
    await b.tick(seconds=1.0)
    body = {"shadow": reads(arm(1_000), arm(1_000)).plain(), "shadows": 1_000}
    await conn_report(b, json.dumps(body))
    await b.tick()
    assert b.moves == [50, 100]
    assert b.gauge["shadow_reads"] == 1_000


async def conn_report(b: Bench, body: str) -> None:
    await b.conn.execute("select _stepflow.report('r', $1)", body)


async def test_errors_move_reads_back_once_and_a_person_arms_again(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make, cool_down=300.0)
    await b.tick(BAD)
    assert b.share == 0
    found = await row(conn)
    assert (found.share, found.armed, found.rollbacks) == (0, False, 1)
    assert [code for code, _ in b.events] == ["switch_rolled_back"]
    assert b.events[0][1]["from"] == 50
    assert b.events[0][1]["signal"] == "errors"
    assert b.gauge["rolled_back"]["signal"] == "errors"
    for _ in range(20):  # flapping: it is good again, and bad again
        await b.tick(GOOD, seconds=10.0)
        await b.tick(BAD, seconds=1.0)
    assert (await row(conn)).version == found.version
    with pytest.raises(Refused) as caught:
        await b.controller.set_share(100, "ann")
    assert caught.value.code == "switch_disarmed"
    assert await b.controller.rearm("ann") == pytest.approx(300 - 220)
    await b.tick(seconds=40.0)
    assert not (await row(conn)).armed
    await b.tick(seconds=41.0)
    assert (await row(conn)).armed
    await b.tick()
    assert b.moves == [1]
    assert b.gauge["rolled_back"] is False


async def test_without_the_guard_the_same_errors_stay(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    b = await at_half(make)
    monkeypatch.setattr("stepflow_tui.engine.switch.guard.Guard.alarm", lambda self: None)
    for _ in range(20):
        await b.tick(BAD)
    assert b.share == 5_000


async def test_one_confirmed_mismatch_is_enough(make: Make) -> None:
    b = await at_half(make)
    await b.tick(GOOD, mismatches=1)
    assert b.share == 0
    assert b.events[-1][1]["signal"] == "mismatches"


async def test_more_mismatches_where_the_config_allows_them(make: Make) -> None:
    b = await at_half(make, rollback_if={"mismatches": 3})
    await b.tick(GOOD, mismatches=2)
    assert b.share == 5_000
    await b.tick(GOOD, mismatches=1)
    assert b.share == 0


async def test_when_both_sides_fail_nothing_moves(make: Make) -> None:
    b = await at_half(make)
    for _ in range(20):
        await b.tick(reads(arm(200, 190), arm(200, 190)))
    assert b.share == 5_000
    assert b.gauge["verdict"]["code"] == "both_fail"
    assert b.events == []
    for _ in range(20):  # the old side recovers: now going back helps
        await b.tick(reads(arm(200, 190), arm(200, 1)))
    assert b.share == 0


@pytest.mark.parametrize(
    ("signal", "fresh"),
    [
        ("slow", reads(arm(100, seconds=0.9), arm(100))),
        ("timeouts", reads(arm(100, timeouts=30), arm(100))),
    ],
)
async def test_slow_reads_and_timeouts_move_reads_back(make: Make, signal: str, fresh: Pair) -> None:
    b = await at_half(make)
    await b.tick(fresh)
    assert b.events[-1][1]["signal"] == signal


async def test_a_dead_engine_leaves_reads_with_the_owner_of_writes(make: Make) -> None:
    b = await at_half(make)
    keys = [f"user-{n}" for n in range(200)]
    sides = [b.view.side(key) for key in keys]
    assert {"sqlite", "postgresql"} == set(sides)
    b.clock.advance(LEASE_SECONDS + 1)  # nobody renews it
    assert {b.view.side(key) for key in keys} == {"sqlite"}
    assert {b.new_view().side(key) for key in keys} == {"sqlite"}
    with sqlite3.connect(b.source) as app:
        app.execute(f"update {CTL} set owner='postgresql'")
    app.close()
    assert {b.view.side(key) for key in keys} == {"postgresql"}


async def test_an_engine_that_lives_keeps_the_lease(make: Make) -> None:
    b = await at_half(make)
    for _ in range(30):
        await b.tick()
        assert b.share == 5_000
    before = b.lease[0].until_ms
    await b.tick(seconds=RENEW_SECONDS)
    assert b.lease[0].until_ms > before


async def test_closing_ends_the_lease(make: Make) -> None:
    b = await at_half(make)
    await b.controller.close()
    assert b.share == -1
    assert b.view.side("x") == "sqlite"


async def test_reads_stop_at_a_side_that_is_behind(make: Make) -> None:
    b = await at_half(make, max_lag=4.0)
    b.lag = Lag(changes=9, seconds=4.5)
    await b.tick(GOOD)
    assert b.share == 0
    b.lag = Lag(changes=9, seconds=3.0)  # no flapping at the limit
    await b.tick(GOOD)
    assert b.share == 0
    b.lag = Lag(changes=0, seconds=0.5)
    await b.tick(GOOD)
    assert b.share == 5_000
    b.lag = None  # nobody knows
    await b.tick(GOOD)
    assert b.share == 0
    assert [code for code, _ in b.events] == ["switch_suspended", "switch_resumed", "switch_suspended"]


@pytest.mark.parametrize("own_look", [True, False])
async def test_a_tail_that_stands_still_is_noticed_whatever_it_said_last(
    make: Make, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, own_look: bool
) -> None:
    """Negative control: without the switch's own look at both sides reads stay where nobody keeps them current."""
    if not own_look:
        monkeypatch.setattr(Staleness, "look", nothing_seen)
    b = await at_half(make, max_lag=4.0)
    epoch = await control.raise_epoch(conn, RUN)
    await progress.start(conn, RUN, epoch, 0)
    await b.tick(GOOD)
    assert b.share == 5_000
    with sqlite3.connect(b.source) as app:
        app.execute("insert into _sf_log(tb, k1) values ('t', 1)")
    app.close()
    await b.tick(GOOD)
    assert b.share == 5_000  # it may come in a moment
    await b.tick(GOOD, seconds=4.5)
    assert b.share == (0 if own_look else 5_000)  # the callback still says no lag
    await progress.jump(conn, RUN, epoch, 1)
    await b.tick(GOOD)
    assert b.share == 5_000


async def nothing_seen(_staleness: Staleness, _conn: asyncpg.Connection) -> None:
    """Nobody looks."""


async def test_nothing_rises_while_the_new_side_is_behind(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    b.lag = Lag(changes=9, seconds=100.0)
    for _ in range(20):
        await b.tick(GOOD, seconds=60.0)
    assert (await row(conn)).share == 5_000
    b.lag = Lag(changes=0, seconds=0.0)
    await b.tick(GOOD, seconds=1.0)
    await b.tick(GOOD, seconds=30.0)
    assert (await row(conn)).share == 5_000  # the soak begins anew
    await b.tick(GOOD, seconds=31.0)
    assert (await row(conn)).share == 10_000


async def test_without_postgresql_nobody_reads_it_and_back_works(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    b.cut = True
    b.controller._truth.disconnect()
    await b.tick()
    assert b.share == 5_000  # a moment is nothing
    await b.tick(seconds=4.0)
    assert b.share == 0
    assert b.gauge["trouble"] == "target_down"
    b.cut = False
    await b.tick()
    assert b.share == 5_000
    b.cut = True
    b.controller._truth.disconnect()
    await b.controller.back("ann")
    assert b.share == 0
    assert (await row(conn)).share == 5_000
    await b.tick()
    assert b.share == 0
    b.cut = False
    await b.tick()
    found = await row(conn)
    assert (found.share, found.held) == (0, True)
    assert b.share == 0


@pytest.mark.parametrize("kept", [True, False])
async def test_an_engine_that_dies_before_postgresql_knows_leaves_the_order_to_the_next(
    make: Make, conn: asyncpg.Connection, kept: bool
) -> None:
    """Negative control: without what was kept the next engine moves reads to the new side again."""
    b = await at_half(make)
    b.cut = True
    b.controller._truth.disconnect()
    await b.controller.back("ann")
    assert (await row(conn)).share == 5_000
    again = make(clock=b.clock, before=b.gauge if kept else {})
    await again.tick()
    found = await row(conn)
    assert (found.share, found.held, again.share) == ((0, True, 0) if kept else (5_000, False, 5_000))
    assert again.gauge.get("owed") is None
    await again.controller.set_share(5_000, "ann")
    third = make(clock=b.clock, before=again.gauge)
    await third.tick()
    assert third.share == 5_000  # carried out once


async def test_a_rollback_by_the_guard_is_kept_and_counts_once(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    owed = {"owed": "rolled_back"}
    await make(clock=b.clock, before=owed).tick()
    await make(clock=b.clock, before=owed).tick()
    found = await row(conn)
    assert (found.share, found.armed, found.rollbacks) == (0, False, 1)


async def test_the_time_held_before_a_restart_counts(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    await b.tick(GOOD, seconds=40.0)
    again = make(clock=b.clock, before=dict(b.gauge))
    again.lag = None  # the tail is not there at once
    await again.tick(seconds=1_000.0)  # nobody looked meanwhile
    assert again.share == 0
    again.lag = Lag(changes=0, seconds=0.0)
    await again.tick(GOOD)
    assert 40.0 <= again.gauge["held_seconds"] < 60.0
    assert (await row(conn)).share == 5_000
    await again.tick(seconds=20.0)
    assert (await row(conn)).share == 10_000
    changed = make(clock=b.clock, before=dict(b.gauge))  # by somebody, since that was shown
    await changed.tick()
    assert changed.gauge["held_seconds"] == 0.0


async def test_withdrawn_reads_begin_at_the_first_stage(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    await b.controller.back("ann")
    b.events.clear()
    again = make(clock=b.clock)
    await again.controller.withdraw("ann")
    assert again.events == []  # nothing moved
    found = await row(conn)
    assert (found.share, found.stage, found.held) == (0, 0, False)
    forward = make(clock=b.clock)
    await forward.tick()
    assert forward.moves == [1]
    await forward.controller.withdraw("ann")
    assert forward.moves == [1, 0]
    forward.cut = True
    forward.controller._truth.disconnect()
    with pytest.raises(StepFlowError):
        await forward.controller.withdraw("ann")


async def test_a_row_that_is_locked_holds_neither_routers_nor_the_way_back(
    make: Make, conn: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = await at_half(make)
    monkeypatch.setattr("stepflow_tui.engine.switch.controller.PATIENCE_SECONDS", 0.3)
    async with conn.transaction():
        await conn.execute("lock table _stepflow.switch in access exclusive mode")
        async with asyncio.timeout(20):
            await b.controller.back("ann")
            assert b.share == 0
            await b.tick(seconds=10.0)
        assert b.gauge["trouble"] == "target_timeout"
        assert b.share == 0
    await b.tick()
    assert ((await row(conn)).share, b.gauge["trouble"]) == (0, None)


async def test_a_lease_from_the_future_is_said(make: Make) -> None:
    b = await at_half(make)
    with sqlite3.connect(b.source) as app:
        app.execute("update _sf_switch set version = 1000")
    app.close()
    await b.tick(seconds=6.0)
    assert b.gauge["trouble"] == "switch_lease_newer"
    await b.tick(seconds=15.0)
    assert b.share == -1  # it ended by itself
    await b.controller.set_share(2_500, "ann")  # a person says that this is the right target
    assert (b.share, b.lease[0].version) == (2_500, 1_001)


async def test_a_capture_that_is_gone_is_said(make: Make) -> None:
    b = await at_half(make)
    with sqlite3.connect(b.source) as app:
        app.execute("drop table _sf_switch")
    app.close()
    await b.tick(seconds=6.0)
    assert b.gauge["trouble"] == "capture_missing"


async def test_back_is_held_until_a_share_is_set(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make, groups=("beta",))
    assert b.view.side("x", groups=["beta"]) == "postgresql"
    await b.controller.back("ann")
    assert b.view.side("x", groups=["beta"]) == "sqlite"
    for _ in range(10):
        await b.tick(GOOD, seconds=60.0)
    assert (await row(conn)).share == 0
    assert b.gauge["verdict"]["code"] == "held"
    await b.controller.set_share(2_500, "ann")
    assert (await row(conn)).stage == 2
    assert b.share == 2_500
    await b.tick(GOOD, seconds=1.0)
    await b.tick(GOOD, seconds=60.0)
    assert b.moves == [0, 25, 50]


async def test_somebody_elses_row_is_right(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    await conn.execute("update _stepflow.switch set share = 700, version = version + 1")
    await b.tick(GOOD)
    assert b.share == 700
    assert b.moves == [7]


async def test_a_move_decided_on_an_old_version_is_given_up(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    original = store.change_switch

    async def late(*args: Any, **more: Any) -> store.SwitchRow | None:
        await conn.execute("update _stepflow.switch set share = 700, version = version + 1")
        return await original(*args, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "change_switch", late)
        await b.tick(GOOD, seconds=61.0)
    assert (await row(conn)).share == 700
    await b.tick(GOOD)
    assert b.share == 700


async def test_two_who_move_at_once_end_with_one_row(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    await asyncio.gather(
        b.controller.set_share(2_500, "ann"), b.controller.back("bob"), b.controller.set_share(500, "cyd")
    )
    await b.tick(GOOD)
    assert b.share == (await row(conn)).share


async def test_a_new_engine_goes_on_at_the_same_share_with_the_same_keys(make: Make, conn: asyncpg.Connection) -> None:
    b = await at_half(make)
    salt = (await row(conn)).salt
    again = make(clock=b.clock)
    again.lag = None
    await again.tick()
    assert again.share == 0  # not before its tail says how far behind it is
    again.lag = Lag(changes=0, seconds=0.0)
    await again.tick()
    found = await row(conn)
    assert (found.share, found.salt, again.share) == (5_000, salt, 5_000)
    assert again.view.side("k") == ("postgresql" if bucket(salt, "k") < 5_000 else "sqlite")


@pytest.mark.parametrize("jump", [-864_000_000, 864_000_000])
async def test_a_wall_clock_that_jumps_decides_nothing(make: Make, jump: int) -> None:
    b = await at_half(make)
    keys = [f"user-{n}" for n in range(100)]
    sides = [b.view.side(key) for key in keys]
    b.clock.wall_ms += jump
    assert [b.view.side(key) for key in keys] == sides
    await b.tick(GOOD, seconds=20.0)
    await b.tick(GOOD, seconds=20.0)
    assert b.moves == []
    await b.tick(GOOD, seconds=30.0)
    assert b.moves == [100]
    assert b.share == 10_000


async def test_reports_that_cant_be_are_dropped(make: Make) -> None:
    b = await at_half(make)
    for body in (
        "", "null", "[]", "{", '{"reads": 1}', '{"mismatches": -1}', '{"mismatches": 1e9}', '{"mismatches": true}',
        '{"reads": {"postgresql": {"requests": 1, "errors": 2}}}', '{"suspects": [{}]}', "[" * 30_000,
        '{"reads": {"postgresql": {"latency": {"x": 1}}}}', '{"shadow": {"sqlite": {"requests": 99999999999}}}',
    ):  # fmt: skip
        await conn_report(b, body)
    await b.tick()
    assert b.gauge["refused_reports"] == 13
    assert b.share == 5_000


async def test_immediate_waits_for_one_shadow_pass(make: Make) -> None:
    b = make(strategy="immediate")
    await b.tick(GOOD, seconds=600.0)
    assert b.share == 0  # an application's reads of the new side are none while nobody is sent there
    for _ in range(3):
        await conn_report(b, json.dumps({"shadow": reads(arm(500), arm(500)).plain(), "shadows": 500}))
        await b.tick()
    assert b.moves == [100]


async def test_a_mismatch_before_anybody_reads_stops_the_rise(make: Make, conn: asyncpg.Connection) -> None:
    b = make(strategy="immediate")
    await b.tick()
    await conn_report(
        b, json.dumps({"shadow": reads(arm(5_000), arm(5_000)).plain(), "shadows": 5_000, "mismatches": 1})
    )
    for _ in range(5):
        await b.tick(seconds=60.0)
    assert b.moves == []
    assert (await row(conn)).rollbacks == 0
    assert b.gauge["verdict"]["code"] == "worse"
    await b.controller.set_share(10_000, "ann")  # a person says it is mended
    await b.tick(GOOD)
    assert b.share == 10_000


async def test_blue_green_moves_all_at_once(make: Make) -> None:
    b = make(strategy="blue-green")
    await b.tick()
    await b.tick(GOOD)
    assert b.moves == [100]
    await b.tick(GOOD, seconds=61.0)
    assert b.controller.finished.is_set()
    await b.controller.back("ann")
    assert b.share == 0
    assert not b.controller.finished.is_set()


async def test_a_canary_of_a_group_reads_the_new_side_alone(make: Make) -> None:
    b = make(strategy="canary", canary={"share": 0.0, "soak": 600.0}, groups=("beta", "7"))
    await b.tick()
    assert b.view.side("x", groups=["beta"]) == b.view.side(7) == b.view.side("x", user="7") == "postgresql"
    assert {b.view.side(f"k{n}") for n in range(100)} == {"sqlite"}
    await b.tick(GOOD, seconds=1.0)
    await b.tick(GOOD, seconds=601.0)
    assert b.moves == [100]


async def test_errors_of_a_groups_canary_take_the_group_back(make: Make, conn: asyncpg.Connection) -> None:
    b = make(strategy="canary", canary={"share": 0.0, "soak": 600.0}, groups=("beta",))
    await b.tick(GOOD)
    await b.tick(BAD)
    assert b.view.side("x", groups=["beta"]) == "sqlite"
    assert not (await row(conn)).armed


async def test_ab_ends_with_a_verdict_and_a_person_goes_on(make: Make) -> None:
    b = make(strategy="ab", ab={"share": 0.5, "samples": 5_000})
    await b.tick()
    for _ in range(4):
        await b.tick(reads(arm(2_000, 6), arm(2_000, 6)), seconds=600.0)
    assert b.moves == [50]
    assert b.gauge["verdict"]["code"] == "equal"
    assert not b.controller.finished.is_set()
    await b.controller.set_share(10_000, "ann")
    await b.tick(GOOD, seconds=1.0)
    await b.tick(GOOD, seconds=61.0)
    assert b.controller.finished.is_set()
