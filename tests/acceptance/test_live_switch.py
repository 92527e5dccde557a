"""The read switch in real runs: an application that reads through the router, every strategy, the verbs, and what goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.acceptance.harness import ROOT, Ran, Stand
from tests.acceptance.live_kit import SECONDS, Json, Live, make_shop
from tests.run_kit import until

pytestmark = [pytest.mark.timeout(300)]

QUICK: Json = {"soak": "0s", "shadow_reads": 200, "cool_down": "1s"}
HELD: Json = QUICK | {"strategy": "gradual", "steps": [25, 100], "soak": "1h"}


class Application:
    """`live_reader.py` in a process of its own."""

    def __init__(self, stand: Stand) -> None:
        script = Path(__file__).with_name("live_reader.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(stand.source), stand.dsn], env=stand.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def ask(self, command: str) -> Json:
        """Its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer: Json = json.loads(self._process.stdout.readline())
        return answer

    @property
    def new(self) -> set[int]:
        """The keys that read the new side now."""
        return set(self.ask("map")["new"])

    def reads(self, percent: float) -> set[int]:
        """Wait until about so many per cent of the keys read the new side. Returns them."""
        near = 0.0 if percent in (0, 100) else 4.0
        found: list[set[int]] = []

        def there() -> bool:
            found[:] = [self.new]
            # asked key by key: a move in the middle would show a part of it
            return abs(len(found[0]) / 20 - percent) <= near and self.new == found[0]

        until(there, SECONDS)
        return found[0]

    def served(self) -> Json:
        """Reads by side, and failures that nobody asked for."""
        return self.ask("served")

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def live(stand: Stand) -> Live:
    """A shop that is about to move."""
    make_shop(stand.source)
    return Live(stand)


@pytest.fixture
def app(live: Live) -> Iterator[Application]:
    """Its application."""
    with contextlib.closing(Application(live.stand)) as made:
        yield made


def started(live: Live) -> subprocess.Popen[str]:
    """A run up to the cutover, left alone once reads begin to move."""
    run = live.stand.start("run", str(live.stand.config_path), "--yes", "--json", "--until", "cutover")
    until(lambda: begun(live), SECONDS)
    return run


def begun(live: Live) -> bool:
    """Whether the run has a switch yet."""
    with contextlib.suppress(IndexError, sqlite3.Error):  # not even a journal
        return bool(live.stand.journal("select 1 from gauge where name = 'switch'"))
    return False


def ended(live: Live, run: subprocess.Popen[str]) -> None:
    """Its end."""
    ran = live.stand.ended(run)
    assert ran.code == 0, ran.out + ran.err + live.trouble()


def verb(live: Live, name: str, *args: str, yes: bool = True) -> Ran:
    """`stepflow switch …`, answered as JSON."""
    sure = ("--yes", *(("--confirm", live.stand.name) if name == "set" else ()))
    return live.stand.cli("switch", name, *args, live.stand.name, *(sure if yes else ()), "--json")


def ordered(live: Live, name: str, *args: str) -> Json:
    """A verb that is carried out: the event that tells so."""
    ran = verb(live, name, *args)
    assert ran.code == 0, ran.out + ran.err + live.trouble()
    move: Json = ran.object["move"]
    return move


def shown(live: Live) -> Json:
    """The switch of `stepflow switch show`."""
    found: Json = verb(live, "show", yes=False).object["switch"]
    return found


def moves(live: Live, after: int = 0) -> list[float]:
    """The percentages that reads were moved to."""
    return [event["to"] for event in live.events("switch", after)]


def to_the_end(live: Live, app: Application, strategy: str, *expected: float, **keys: Any) -> None:
    """The run goes on by itself once all reads come from the new side, and nothing went wrong in the application."""
    live.config(switch=QUICK | {"strategy": strategy} | keys)
    live.hold()
    assert moves(live) == list(expected)
    app.reads(100)
    assert set(app.served()) == {"sqlite", "postgresql"}
    found = shown(live)
    assert found["strategy"] == strategy
    assert (found["mismatches"], found["rolled_back"], found["trouble"]) == (0, False, None)
    assert found["reported"] > 0
    live.stand.no_traceback()


def test_gradual_to_its_end(live: Live, app: Application) -> None:
    to_the_end(live, app, "gradual", 10, 50, 100, steps=[10, 50, 100])


def test_canary_to_its_end(live: Live, app: Application) -> None:
    to_the_end(live, app, "canary", 10, 100, canary={"share": "10%", "soak": "1s"}, groups=["beta"])


def test_side_by_side_ends_with_a_verdict_and_a_person_decides(live: Live, app: Application) -> None:
    live.config(switch=QUICK | {"strategy": "ab", "ab": {"share": "50%", "samples": 200}})
    run = started(live)
    live.event("switch")
    half = app.reads(50)
    until(lambda: shown(live)["verdict"]["code"] == "equal", SECONDS)
    assert moves(live) == [50]
    assert half == app.new
    refused = verb(live, "set", "100", yes=False)
    assert refused.code == 6, refused.out
    assert ordered(live, "set", "100")["to"] == 100
    ended(live, run)
    assert half < app.reads(100)


def test_a_person_leads_it_and_keys_keep_to_their_side(live: Live, app: Application) -> None:
    """More reads add keys and fewer take them away; neither another engine nor a stopped one mixes them."""
    live.config(switch=HELD)
    run = started(live)
    quarter = app.reads(25)
    assert ordered(live, "set", "60")["from"] == 25
    most = app.reads(60)
    assert quarter < most
    assert ordered(live, "set", "25")["to"] == 25
    assert app.reads(25) == quarter
    until(lambda: shown(live)["held_seconds"] > 1, SECONDS)
    held = shown(live)
    live.kill()
    run.kill()
    another = started(live)
    until(lambda: shown(live)["version"] > held["version"], SECONDS)
    again = shown(live)
    assert (again["percentage"], again["stages"]) == (25, [25, 100])
    assert again["held_seconds"] >= held["held_seconds"]  # the time before counts
    assert app.reads(25) == quarter
    assert ordered(live, "back")["to"] == 0
    app.reads(0)
    until(lambda: shown(live)["held"] is True, SECONDS)
    assert ordered(live, "rearm")["event"] == "switch_rearmed"
    assert app.reads(25) == quarter
    found = verb(live, "analytics", yes=False).object
    assert [m["to"] for m in found["moves"] if m["event"] == "switch"] == [25, 60, 25, 0, 25]
    assert found["mismatches"] == 0
    assert min(found[side]["requests"] for side in ("old", "new")) > 0
    assert set(app.served()) == {"sqlite", "postgresql"}
    assert another.poll() is None


@contextlib.contextmanager
def stuck(live: Live) -> Iterator[None]:
    """Nobody can write to a table of the new side."""
    with asyncio.Runner() as runner:
        held = runner.run(asyncpg.connect(live.stand.dsn))
        runner.run(held.execute("begin; lock table orders in exclusive mode"))
        yield
        held.terminate()


def test_nobody_reads_what_nobody_keeps_current(live: Live, app: Application) -> None:
    """A tail that can't go on, and an engine that stands still: reads follow the side that owns writes, and come back."""
    live.config(switch=HELD)
    started(live)
    quarter = app.reads(25)
    before = live.seq
    with stuck(live):
        live.event("switch_suspended", before)
        app.reads(0)
        assert shown(live)["percentage"] == 25
    live.event("switch_resumed", before)
    assert app.reads(25) == quarter
    [engine] = live.stand.engines()
    engine.suspend()
    app.reads(0)  # its lease has ended
    engine.resume()
    assert app.reads(25) == quarter
    assert live.events("switch_rolled_back") == []
    assert set(app.served()) == {"sqlite", "postgresql"}


def test_a_worse_side_is_left_once_and_only_a_person_goes_there_again(live: Live, app: Application) -> None:
    to_the_end(live, app, "immediate", 100)
    before = live.seq
    app.ask("worse 3")
    assert live.event("switch_rolled_back", before)["signal"] in ("errors", "error_rate")
    app.reads(0)
    refused = verb(live, "set", "50")
    assert (refused.code, refused.object["error"]["code"]) == (4, "switch_disarmed"), refused.out + refused.err
    app.ask("worse 0")
    assert ordered(live, "rearm")["event"] == "switch_rearmed"
    app.reads(100)
    assert [e["from"] for e in live.events("switch_rolled_back")] == [100]
    assert moves(live, before) == [100]
    assert set(app.served()) == {"sqlite", "postgresql", "told"}


def test_going_back_and_forward_begins_anew(live: Live, app: Application) -> None:
    to_the_end(live, app, "blue-green", 100)
    before = live.seq
    ran = live.stand.rollback("--to", "switch_reads")
    assert ran.code == 0, ran.out + ran.err
    app.reads(0)
    live.hold()
    app.reads(100)
    assert moves(live, before) == [0, 100]
