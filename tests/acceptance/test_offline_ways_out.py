"""Ways out of a window that somebody takes half-way: none of them leaves the application lying, or working where nobody takes writes."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator

import psutil
import pytest

from stepflow_tui.engine.journal.lock import LOCK
from tests.acceptance.harness import Stand
from tests.acceptance.test_offline import Window, killed
from tests.run_kit import until

pytestmark = [pytest.mark.timeout(300)]


@pytest.fixture
def window(stand: Stand) -> Iterator[Window]:
    """A shop that runs, and is to move in a window."""
    made = Window(stand)
    made.config()
    made.start()
    try:
        yield made
    finally:
        for process in made.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


def test_aborted_after_the_point_of_no_return(window: Window) -> None:
    """PostgreSQL owns writes and nothing runs: the abort ends with an application that works there, none is left lying."""
    killed(window, "offline_decided:1:kill")
    ran = window.stand.cli("abort", window.stand.name, "--yes", "--confirm", window.stand.name, "--json")
    assert ran.code == 0, ran.out + ran.err
    window.stand.idle()
    assert (window.live.status()["state"], window.gauge()["state"]) == ("aborted", "switched"), window.live.trouble()
    assert window.database() == "postgresql"
    window.order("new")
    assert window.orders() == ["one", "two", "three", "new"]


def test_aborted_when_the_new_side_does_not_start(window: Window) -> None:
    """The abort that finishes the switch can't: writes are taken back, and the old application works."""
    killed(window, "offline_decided:1:kill")
    (window.folder / "fail-at-start").write_text("postgresql")
    window.stand.cli("abort", window.stand.name, "--yes", "--confirm", window.stand.name, "--json")
    window.stand.idle()
    assert "application_start_failed" in window.live.errors()
    assert window.gauge()["state"] == "returned"
    window.old_side()


@pytest.mark.parametrize("point", ["application_started:1", "application_switched:1"])
def test_part_of_the_way_back_while_the_new_side_comes_up(window: Window, point: str) -> None:
    """Writes go back to SQLite at once, and so does the application: it does not stay where they are refused."""
    killed(window, f"{point}:kill")
    back = window.stand.rollback("--to", "validate")
    assert back.code == 0, back.out + back.err + window.live.trouble()
    window.stand.idle()
    assert window.gauge()["state"] == "returned"
    window.old_side()


def test_a_config_that_lacks_the_recipe(window: Window) -> None:
    """What was stopped by it would never be started again: that is said before writes move, and mended by the old config."""
    killed(window, "after_intent:12:kill")
    window.config(application={})
    ran = window.stand.run()
    assert (ran.code, ran.errors[0]["code"]) == (1, "recipe_unknown"), ran.out + window.live.trouble()
    assert not window.live.events("cutover_point_of_no_return")
    window.config()
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.database() == "postgresql"


def test_the_watcher_stays_while_another_engine_works(window: Window) -> None:
    """Whoever has the run when the window is over may end without going back: the watcher looks again after it."""
    window.config("8s")
    killed(window, "after_intent:12:kill")
    over = window.gauge()["ends_ms"] / 1000 + 2
    with (window.stand.run_dir / LOCK).open("r+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        until(lambda: time.time() > over, 30)
        assert window.database() == ""
    until(lambda: window.database() == "sqlite", 60)
    window.stand.idle()
    window.old_side()
