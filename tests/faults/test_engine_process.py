"""The engine as a process: one per run, killed anywhere, left alone by its front end, told what to do by intents."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.errors import EngineLost, Held, UsageError
from stepflow_tui.engine.journal.commands import send
from stepflow_tui.engine.journal.launch import Launched, StartLine, launch
from stepflow_tui.engine.journal.reader import RunReader, peek_state
from stepflow_tui.engine.journal.rundir import engine_alive
from stepflow_tui.engine.model.state import RunState
from tests.run_kit import new_state, until, write_config

SCRIPT = Path(__file__).with_name("engine_script.py")
ROOT = SCRIPT.parents[2]
COMMAND = (sys.executable, "-P", str(SCRIPT))
WORLD = {"one", "two", "three", "four"}


class Engines:
    """Starts engines for one run folder, and ends what is left of them."""

    def __init__(self, folder: Path, **config: str) -> None:
        self.config = write_config(folder, **config)
        self.state = new_state(folder)
        name = config.get("name", "shop")
        self.run_dir = self.state.new_run(name, 1_700_000_000_000)
        self.name = name
        self.pids: list[int] = []

    def start(self, **line: Any) -> Launched:
        """A new engine."""
        given: dict[str, Any] = {"config": str(self.config), "yes": True, "who": "tester"} | line
        launched = launch(self.run_dir, StartLine(**given), command=COMMAND)
        self.pids.append(launched.pid)
        return launched

    def ended(self) -> dict[str, Any]:
        """Wait until no engine holds the lock; the run's row."""
        until(lambda: not engine_alive(self.run_dir))
        with RunReader(self.run_dir) as reader:
            row = reader.run()
        assert row is not None
        return row

    def world(self) -> set[str]:
        """What the steps have made."""
        folder = self.run_dir / "world"
        return {p.name for p in folder.iterdir()} if folder.exists() else set()

    def ask(self, verb: str, **args: Any) -> dict[str, Any]:
        """Send an intent and wait for its answer."""
        number = send(self.run_dir, verb, args, who="tester")

        def answered() -> dict[str, Any] | None:
            with RunReader(self.run_dir) as reader:
                row = reader.command(number)
            return row if row and row["state"] != "new" else None

        return until(answered)

    def is_(self, state: RunState) -> None:
        """Wait for a state."""
        until(lambda: peek_state(self.run_dir) is state)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Engines]:
    engines = Engines(tmp_path, name="slow")
    yield engines
    end(engines)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Engines]:
    engines = Engines(tmp_path)
    yield engines
    end(engines)


def end(engines: Engines) -> None:
    for pid in engines.pids:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if str(engines.run_dir) in psutil.Process(pid).cmdline():
                os.kill(pid, signal.SIGKILL)
    until(lambda: not engine_alive(engines.run_dir))


def test_a_run_from_start_to_end(quick: Engines) -> None:
    launched = quick.start()
    row = quick.ended()
    assert (row["state"], row["result"], row["exit_code"], row["epoch"]) == (
        "completed",
        "completed",
        0,
        launched.epoch,
    )
    assert quick.world() == WORLD
    assert json.loads((quick.run_dir / "report.json").read_text())["state"] == "completed"
    assert (quick.run_dir / "engine.log").read_text() == ""


def test_two_engines_at_once(slow: Engines) -> None:
    slow.start()
    with pytest.raises(Held) as caught:
        slow.start()
    assert caught.value.exit_code == 7
    (slow.run_dir / "go").touch()
    assert slow.ended()["epoch"] == 1


def test_looking_leaves_no_lock_file(quick: Engines) -> None:
    assert not engine_alive(quick.run_dir)
    assert list(quick.run_dir.iterdir()) == []


def test_the_engine_is_a_session_of_its_own(slow: Engines) -> None:
    pid = slow.start().pid
    assert os.getsid(pid) == pid
    assert psutil.Process(pid).cwd() == "/"
    with RunReader(slow.run_dir) as reader:
        sign = reader.engine()
    assert (sign.alive, sign.pid) == (True, pid)
    os.kill(pid, signal.SIGHUP)
    assert slow.ask("note", text="still here")["state"] == "done"
    (slow.run_dir / "go").touch()
    assert slow.ended()["result"] == "completed"


def test_a_front_end_that_dies_takes_nothing_along(slow: Engines) -> None:
    code = (
        "import os,sys;from pathlib import Path;from stepflow_tui.engine.journal.launch import *;"
        f"l=launch(Path({str(slow.run_dir)!r}),StartLine(config={str(slow.config)!r},yes=True),command={COMMAND!r});"
        "print(l.pid,flush=True);os.kill(os.getpid(),9)"
    )
    front = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    slow.pids.append(int(front.stdout))
    assert front.returncode == -9
    (slow.run_dir / "go").touch()
    assert slow.ended()["result"] == "completed"


def test_a_front_end_that_dies_before_the_start_line(quick: Engines) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.run(
        [*COMMAND, str(quick.run_dir)], stdin=subprocess.DEVNULL, capture_output=True, check=False, env=env
    )
    assert process.returncode == 2
    assert json.loads(process.stdout)["error"]["hint"]
    assert not engine_alive(quick.run_dir)


def test_intents_are_acknowledged_and_carried_out(slow: Engines) -> None:
    slow.start()
    assert slow.ask("pause")["answer"]["waits_for"]
    slow.is_(RunState.PAUSED)
    assert slow.ask("pause")["state"] == "done"
    assert slow.ask("resume")["state"] == "done"
    slow.is_(RunState.RUNNING)
    assert slow.ask("resume")["answer"]["code"] == "not_paused"
    assert slow.ask("nonsense")["state"] == "refused"
    assert slow.ask("abort", confirm="wrong")["answer"]["exit_code"] == 6
    assert slow.ask("abort", confirm="slow")["state"] in ("accepted", "done")
    row = slow.ended()
    assert (row["state"], row["result"], row["exit_code"]) == ("aborted", "aborted", 130)
    assert slow.world() == {"one"}


@pytest.mark.parametrize("paused", [False, True])
def test_sigterm_stops_and_run_goes_on(slow: Engines, paused: bool) -> None:
    pid = slow.start().pid
    slow.is_(RunState.RUNNING)
    if paused:
        slow.ask("pause")
        slow.is_(RunState.PAUSED)
    os.kill(pid, signal.SIGTERM)
    row = slow.ended()
    assert (row["result"], row["exit_code"]) == ("stopped", 143)
    assert row["state"] == ("paused" if paused else "pending")
    (slow.run_dir / "go").touch()
    slow.start()
    assert slow.ended()["result"] == "completed"


def test_kill_is_noticed_and_resumed(slow: Engines) -> None:
    pid = slow.start().pid
    slow.is_(RunState.RUNNING)
    until(lambda: "slow" in str(_status(slow)["step"]))
    os.kill(pid, signal.SIGKILL)
    until(lambda: not engine_alive(slow.run_dir))
    status = _status(slow)
    assert (status["state"], status["engine"]["alive"]) == ("running", False)
    assert [a["code"] for a in status["alerts"]] == ["engine_lost"]
    (slow.run_dir / "go").touch()
    assert slow.start().epoch == 2
    assert slow.ended()["result"] == "completed"
    assert slow.world() == {"one", "slow", "three", "four"}
    with RunReader(slow.run_dir) as reader:
        assert [(a["code"], a["cleared_seq"] is not None) for a in reader.alerts()] == [("engine_lost", True)]
        assert reader.verify_audit(slow.state.path).state == "whole"


def test_a_gate_without_a_terminal_ends_waiting_and_continue_passes_it(tmp_path: Path) -> None:
    engines = Engines(tmp_path, name="warn")
    engines.start(yes=False)
    row = engines.ended()
    assert (row["state"], row["result"], row["exit_code"]) == ("waiting", "waiting", 6)
    assert _status(engines)["gate"]["questions"][0]["id"] == "odd|"
    send(engines.run_dir, "continue", {}, who="tester", epoch=row["epoch"])
    engines.start(yes=False, command_only=True, config="")
    assert engines.ended()["result"] == "completed"


def test_an_engine_for_a_note_only_writes_it_down(tmp_path: Path) -> None:
    engines = Engines(tmp_path, name="warn")
    engines.start(yes=False)
    engines.ended()
    send(engines.run_dir, "note", {"text": "looks fine"}, who="tester")
    engines.start(yes=False, command_only=True)
    row = engines.ended()
    assert (row["state"], row["result"], row["exit_code"]) == ("waiting", "waiting", 6)
    with RunReader(engines.run_dir) as reader:
        assert [e["data"]["text"] for e in reader.events() if e["code"] == "note"] == ["looks fine"]


def test_until_and_live_yes(slow: Engines) -> None:
    slow.start(yes=False, until="validate")
    assert slow.ask("yes")["state"] == "done"
    (slow.run_dir / "go").touch()
    row = slow.ended()
    assert (row["state"], row["result"], row["exit_code"]) == ("waiting", "stopped", 0)
    assert "four" not in slow.world()
    slow.start()
    assert slow.ended()["exit_code"] == 0


def test_until_a_phase_that_is_not_there(quick: Engines) -> None:
    with pytest.raises(UsageError) as caught:
        quick.start(until="cutover")
    assert "validate" in caught.value.hint


def test_a_config_that_changed_is_refused_by_key(slow: Engines) -> None:
    pid = slow.start().pid
    slow.is_(RunState.RUNNING)
    os.kill(pid, signal.SIGTERM)
    slow.ended()
    slow.config = write_config(slow.config.parent, name="slow", tables="{exclude: [x]}")
    slow.start()
    row = slow.ended()
    assert (row["result"], row["exit_code"]) == ("refused", 4)
    with RunReader(slow.run_dir) as reader:
        (error,) = [e["data"] for e in reader.events() if e["code"] == "error"]
    assert (error["code"], error["detail"]) == ("config_changed", "tables.exclude")


def test_a_bad_config_is_told_by_the_engine(quick: Engines) -> None:
    quick.config.write_text("version: 1\nname: shop\nsauce: {}\n")
    with pytest.raises(UsageError) as caught:
        quick.start()
    assert "sauce" in caught.value.detail


def test_an_engine_that_can_not_start_shows_its_log(quick: Engines) -> None:
    with pytest.raises(EngineLost) as caught:
        launch(quick.run_dir, StartLine(), command=(sys.executable, "-c", "raise SystemExit('no such luck')"))
    assert "no such luck" in caught.value.detail


def test_a_finished_run_is_left_alone(quick: Engines) -> None:
    quick.start()
    quick.ended()
    before = (quick.run_dir / "report.json").stat().st_mtime_ns
    quick.start()
    row = quick.ended()
    assert (row["result"], row["epoch"]) == ("completed", 2)
    assert (quick.run_dir / "report.json").stat().st_mtime_ns == before


def test_a_finished_run_can_be_rolled_back(quick: Engines) -> None:
    quick.start()
    quick.ended()
    send(quick.run_dir, "rollback", {"yes": True}, who="tester")
    quick.start(command_only=True)
    row = quick.ended()
    assert (row["state"], row["result"], row["exit_code"]) == ("rolled_back", "rolled_back", 0)
    assert quick.world() == set()


def test_secrets_stay_in_the_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "c4nary-s3cret"
    monkeypatch.setenv("SHOP_DSN", f"postgresql://u:{secret}@h/db")
    engines = Engines(tmp_path, name="slow", target="{dsn: '${SHOP_DSN}'}")
    process = psutil.Process(engines.start(env={"SHOP_DSN": os.environ["SHOP_DSN"]}).pid)
    assert "SHOP_DSN" not in process.environ()
    assert secret not in " ".join(process.cmdline())
    process.terminate()
    assert engines.ended()["result"] == "stopped"
    files = [f for f in engines.run_dir.rglob("*") if f.is_file()]
    assert {f.name for f in files} >= {"journal.db", "engine.log", "report.json"}
    assert [f.name for f in files if secret.encode() in f.read_bytes()] == []


def _status(engines: Engines) -> dict[str, Any]:
    with RunReader(engines.run_dir) as reader:
        return reader.status()


def test_kill_at_every_failpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place is passed once, killed once, and resumed: nothing twice (O_EXCL), nothing missing."""
    log = tmp_path / "passed"
    clean = Engines(_folder(tmp_path, "clean"))
    monkeypatch.setenv("STEPFLOW_FAILPOINT_LOG", str(log))
    clean.start()
    assert clean.ended()["result"] == "completed"
    monkeypatch.delenv("STEPFLOW_FAILPOINT_LOG")
    places = log.read_text().split()
    assert {p.split(":")[0] for p in places} >= {
        "before_intent",
        "after_intent",
        "after_effect",
        "after_done",
        "inside_step",
    }
    for place in places:
        engines = Engines(_folder(tmp_path, place.replace(":", "-")))
        monkeypatch.setenv("STEPFLOW_FAILPOINT", f"{place}:kill")
        engines.start()
        assert engines.ended()["result"] is None, place  # it was killed: it said nothing
        monkeypatch.delenv("STEPFLOW_FAILPOINT")
        engines.start()
        assert engines.ended()["result"] == "completed", place
        assert engines.world() == WORLD, place


def test_kill_while_going_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("before_undo:1", "after_undo:2"):
        engines = Engines(_folder(tmp_path, place.replace(":", "-")))
        engines.start()
        engines.ended()
        send(engines.run_dir, "rollback", {"yes": True}, who="tester")
        monkeypatch.setenv("STEPFLOW_FAILPOINT", f"{place}:kill")
        engines.start(command_only=True)
        assert engines.ended()["state"] == "rolling_back"
        monkeypatch.delenv("STEPFLOW_FAILPOINT")
        engines.start()
        assert engines.ended()["state"] == "rolled_back"
        assert engines.world() == set()


def test_a_rollback_that_was_killed_goes_back_to_the_same_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = Engines(tmp_path)
    engines.start()
    engines.ended()
    send(engines.run_dir, "rollback", {"yes": True, "to": "validate"}, who="tester")
    monkeypatch.setenv("STEPFLOW_FAILPOINT", "before_undo:1:kill")
    engines.start(command_only=True)
    assert engines.ended()["state"] == "rolling_back"
    monkeypatch.delenv("STEPFLOW_FAILPOINT")
    engines.start()
    row = engines.ended()
    assert (row["state"], row["result"]) == ("waiting", "stopped")
    assert engines.world() == WORLD - {"four"}
    engines.start()
    assert engines.ended()["result"] == "completed"


def test_every_failpoint_of_the_loop_is_passed() -> None:
    """Names are literal, so that the sources list them."""
    runner = Path(sys.modules["stepflow_tui.engine.journal.launch"].__file__ or "").parents[1] / "runner.py"
    calls = [
        node.args[0]
        for node in ast.walk(ast.parse(runner.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "failpoint"
    ]
    names = {a.value for a in calls if isinstance(a, ast.Constant)}
    assert len(names) == len(calls)
    assert names == {"before_intent", "after_intent", "after_effect", "after_done", "before_undo", "after_undo"}


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
