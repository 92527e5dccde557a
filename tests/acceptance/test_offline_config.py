"""The config is edited while the application stands still and no engine works: the window's promise holds all the same."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.acceptance.harness import Stand
from tests.acceptance.test_offline import Window, killed
from tests.run_kit import until

pytestmark = [pytest.mark.timeout(300)]

COPYING = "after_intent:12:kill"


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


def other_schema(window: Window) -> None:
    """What decides where the rows go."""
    window.config(target={"dsn": "${TARGET_DSN}", "schema": "other"})


def other_mode(window: Window) -> None:
    """Another mode has other steps."""
    window.config(mode="copy", cutover=None)


def no_recipe(window: Window) -> None:
    """Nothing says how the application is started."""
    window.config(application={})


def broken(window: Window) -> None:
    """No YAML any more."""
    window.stand.config_path.write_text("mode: [offline\n")


def gone(window: Window) -> None:
    """No file any more."""
    window.stand.config_path.unlink()


EDITS = (other_schema, other_mode, no_recipe, broken, gone)


def test_an_edited_config_is_refused_by_name(window: Window) -> None:
    """One message: what differs, that the application stands still, and the command that starts it; a new run hides none."""
    killed(window, COPYING)
    other_schema(window)
    name, config = window.stand.name, str(window.stand.config_path)
    first = window.stand.run_dir.name
    ran = window.stand.cli("run", config, "--yes", "--json")
    error = ran.errors[0]
    assert (ran.code, error["code"]) == (4, "config_changed"), ran.out + ran.err
    assert "target.schema" in error["detail"]
    assert "The application is stopped" in error["detail"]
    assert f"stepflow rollback {first}" in error["hint"]
    assert "--new" not in error["hint"]
    ran = window.stand.cli("run", config, "--yes", "--json", "--new")
    assert (ran.code, ran.errors[0]["code"]) == (4, "application_stands_still"), ran.out + ran.err
    assert [run.name for run in window.stand.runs] == [first]
    assert window.stand.status()["window"]["state"] == "open"
    back = window.stand.rollback()
    assert (back.code, back.object["run"]) == (0, first), back.out + back.err + window.live.trouble()
    assert (window.live.status()["state"], window.gauge()["state"]) == ("rolled_back", "returned")
    window.old_side()
    assert not list((window.stand.run_dir / "application").glob("config*"))
    assert not window.stand.sql("select 1 from pg_tables where tablename = 'orders'")
    assert name in first


@pytest.mark.parametrize("edit", EDITS)
def test_gone_back_by_one_command(window: Window, edit: Callable[[Window], None]) -> None:
    """Whatever became of the file: `rollback` starts the old application, and takes back what the run made."""
    killed(window, COPYING)
    edit(window)
    back = window.stand.rollback()
    assert back.code == 0, back.out + back.err + window.live.trouble()
    assert window.live.events("offline_config_kept")
    assert window.gauge()["state"] == "returned"
    assert not window.stand.sql("select 1 from pg_tables where tablename = 'orders'")
    window.old_side()


@pytest.mark.parametrize("edit", EDITS)
def test_gone_back_by_itself(window: Window, edit: Callable[[Window], None]) -> None:
    """Nobody does anything: the watcher goes by what stood in the file when the application was stopped."""
    window.config("8s")
    killed(window, COPYING)
    edit(window)
    until(lambda: window.database() == "sqlite", 60)
    window.stand.idle()
    assert (window.live.status()["state"], window.live.errors()[-1]) == ("failed", "window_over")
    window.old_side()


def test_what_was_decided_is_finished_without_waiting(window: Window) -> None:
    """PostgreSQL owns writes and the engine dies: nobody waits for the end of the window to start the application there."""
    killed(window, "offline_decided:1:kill")
    broken(window)
    until(lambda: window.database() == "postgresql", 60)
    until(lambda: window.gauge()["state"] == "switched", 30)
    assert window.gauge()["actual_seconds"] < window.gauge()["seconds"]
    window.order("new")
    assert window.orders() == ["one", "two", "three", "new"]
