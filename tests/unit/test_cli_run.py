"""`run`, `attach` and steering against a facade in memory."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Held, TargetConnectionError
from tests.unit.cli_kit import CONFIG, RUN, STATUS, FakeEngine, FakeReader, finished, row, started

ROOT = Path(__file__).parents[2]
Cli = Callable[..., int]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def ready(engine: FakeEngine, tmp_path: Path) -> FakeEngine:
    (tmp_path / "stepflow.yaml").write_text(CONFIG)
    engine.reader.state = STATUS
    return engine


def lines(capsys: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_run_prints_its_events_and_exits_with_its_code(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    bar = {
        "step": "copy",
        "item": "a",
        "done": 1,
        "total": 2,
        "unit": "rows",
        "rate": 1.0,
        "eta_s": 1.0,
        "eta_state": "ready",
        "throttle": "",
        "rev": 1,
    }
    ready.reader = FakeReader(
        script=[
            (True, [started(), row(2, "step", phase="backfill", step="copy", state="running")]),
            (True, [row(3, "state", **{"from": "a", "to": "b"})]),
            (True, [finished(4, "incomplete", 5)]),
        ],
        bars=[bar, {**bar, "item": "b", "total": None}],
    )
    assert cli("run", "--yes", "--json") == 5
    events = lines(capsys)
    assert [e["event"] for e in events] == ["run_started", "step", "progress", "run_finished"]
    assert all(e["run"] == RUN and e["time"].endswith("Z") and "seq" not in e for e in events)
    assert events[-2] | {"time": 0} == {
        "event": "progress", "time": 0, "run": RUN, "step": "copy", "item": "", "done": 2, "total": None, "unit": "rows",
        "rate_per_second": 2.0, "eta_seconds": 1.0, "eta_state": "ready", "throttle": "",
    }  # fmt: skip
    assert events[-1]["result"] == "incomplete"
    assert ready.calls[0][1]["yes"] is True
    assert ready.calls[0][1]["interactive"] is False


def test_a_bad_config_still_ends_with_run_finished(
    cli: Cli, tmp_path: Path, engine: FakeEngine, capsys: Capture
) -> None:
    (tmp_path / "stepflow.yaml").write_text("nmae: x\n")
    assert cli("run", "--json") == 2
    events = lines(capsys)
    assert [e["event"] for e in events] == ["error", "run_finished"]
    assert events[0]["code"] == "config"
    assert "did you mean name?" in events[0]["detail"]
    assert events[1] | {"time": 0} == {
        "event": "run_finished",
        "time": 0,
        "run": None,
        "result": "refused",
        "exit_code": 2,
        "report": None,
    }
    assert cli("check", "--json") == 2
    assert lines(capsys)[0]["error"]["code"] == "config"
    assert cli("check", "missing.yaml") == 2
    shown = capsys.readouterr()
    assert (shown.out, "config_missing" in shown.err) == ("", True)


@pytest.mark.parametrize(
    ("error", "code", "result"),
    [(Held("x"), 7, "refused"), (TargetConnectionError("x"), 3, "failed"), (ZeroDivisionError("secret"), 1, "failed")],
)
def test_errors_of_start(
    error: Exception,
    code: int,
    result: str,
    cli: Cli,
    ready: FakeEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    async def start(loaded: Any, **options: Any) -> None:
        raise error

    monkeypatch.setattr(ready, "start", start, raising=False)
    assert cli("run", "--json") == code
    events = lines(capsys)
    assert [e["event"] for e in events] == ["error", "run_finished"]
    assert (events[1]["result"], events[1]["exit_code"]) == (result, code)
    if code == 1:
        assert events[0]["code"] == "internal"
        assert "secret" not in json.dumps(events)
        (kept,) = (tmp_path / "state" / "stepflow").glob("crash-*.log")
        assert str(kept) in events[0]["detail"]
        assert "ZeroDivisionError: secret" in kept.read_text()
        assert kept.stat().st_mode & 0o077 == 0


def test_a_lost_engine_is_an_error_of_its_own(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(script=[(True, [started()])])
    assert cli("run", "--json") == 1
    events = lines(capsys)
    assert [e["event"] for e in events] == ["run_started", "error", "run_finished"]
    assert (events[1]["code"], events[2]["result"], events[2]["run"]) == ("engine_lost", "failed", RUN)


def test_an_old_ending_does_not_end_a_resumed_run(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(
        rows=[started(), finished(2, "failed", 1)], script=[(True, []), (True, [started(3)]), (True, [finished(4)])]
    )
    assert cli("attach", "--json") == 0
    assert [e["event"] for e in lines(capsys)] == ["run_started", "run_finished"] * 2


def test_attaching_to_a_finished_run_gives_its_code(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(rows=[started(), finished(2, "incomplete", 5)])
    assert cli("attach", "--plain") == 5
    assert "incomplete (exit 5); report: /r/report.json" in capsys.readouterr().out


def test_a_gate_nobody_can_answer_exits_6_and_names_the_flag(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    gate = row(2, "gate", phase="backfill", state="open", questions=[{"kind": "plan", "id": "h", "params": {}}])
    ready.reader = FakeReader(script=[(True, [started(), gate])] + [(True, [])] * 20)
    assert cli("run") == 6
    shown = capsys.readouterr()
    assert "--yes" in shown.err
    assert "go on with this plan" in shown.out


def test_an_engine_that_ends_waiting_has_the_last_word(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    gate = row(2, "gate", phase="backfill", state="open", questions=[])
    ready.reader = FakeReader(script=[(True, [started(), gate]), (True, []), (True, [finished(3, "waiting", 6)])])
    assert cli("run", "--json") == 6
    assert [e["event"] for e in lines(capsys)] == ["run_started", "gate", "run_finished"]


def test_detach_returns_when_something_comes_after_preflight(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    steps = [
        row(2, "step", phase="prepare", step="preflight", state="done"),
        row(3, "step", phase="prepare", step="backup", state="running"),
    ]
    ready.reader = FakeReader(script=[(True, [started(), steps[0]]), (True, [steps[1]]), (True, [finished(4)])])
    assert cli("run", "--detach") == 0
    assert f"stepflow attach {RUN}" in capsys.readouterr().out
    ready.reader = FakeReader(script=[(True, [started(), steps[0]]), (True, [finished(3, "refused", 4)])])
    assert cli("run", "--detach", "--json") == 4
    assert lines(capsys)[-1]["exit_code"] == 4


def test_unknown_phases_and_levels_are_usage_errors(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    assert cli("run", "--until", "lunch") == 2
    assert cli("rollback", "shop", "--to", "lunch", "--yes", "--reason", "x") == 2
    assert cli("verify", "--level", "deep") == 2
    assert cli("verify", "--repair", "now") == 2
    assert "backfill" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "environment", "code"),
    [
        (["abort", "--yes"], "staging", 0),
        (["abort", "--yes", "--confirm", "shop"], "production", 0),
        (["abort", "--confirm", "shop"], "staging", 0),
        (["abort", "--yes"], "production", 6),
        (["abort", "--yes", "--confirm", "other"], "staging", 6),
        (["abort"], "staging", 6),
        (["rollback", "shop"], "staging", 6),
        (["rollback", "shop", "--yes"], "staging", 6),
        (["rollback", "shop", "--yes", "--reason", "wrong file"], "staging", 1),
        (["continue"], "staging", 0),
        (["tick", "shop", "item"], "staging", 6),
    ],
)
def test_confirmations(
    args: list[str], environment: str, code: int, cli: Cli, ready: FakeEngine, capsys: Capture
) -> None:
    ready.reader = FakeReader(
        rows=[started(), finished(2, "aborted", 130)], state={**STATUS, "environment": environment}
    )
    got = cli(*args)
    assert got == (130 if args[0] == "rollback" and code == 1 else code)
    sent = [name for name, _ in ready.calls if name in ("abort", "rollback", "continue", "tick")]
    assert bool(sent) is (code != 6)
    if code == 6:
        assert "hint: " in capsys.readouterr().err


def test_a_rollback_needs_a_reason(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    assert cli("rollback", "shop", "--yes") == 6
    assert "--reason TEXT" in capsys.readouterr().err
    assert not [call for call in ready.calls if call[0] == "rollback"]
    ready.reader = FakeReader(rows=[started(), finished(2, "rolled_back")], state=STATUS)
    assert cli("rollback", "shop", "--yes", "--reason", "wrong file") == 0
    assert dict(ready.calls)["rollback"]["reason"] == "wrong file"
    ready.reader = FakeReader(rows=[started(), finished(2, "rolled_back")], state={**STATUS, "kind": "sqlite-wal"})
    assert cli("rollback", "shop", "--yes") == 0, "in place nothing is lost: one command goes back"


def observing(seq: int = 2) -> dict[str, Any]:
    return row(seq, "observing", window_seconds=86_400, then="wait")


def test_a_live_run_is_left_when_it_only_keeps_its_way_back(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(
        script=[(True, [started()]), (True, [observing()]), *[(True, [])] * 9], state={**STATUS, "state": "observing"}
    )
    assert cli("run", "--yes", "--json") == 0
    events = lines(capsys)
    assert [e["event"] for e in events] == ["run_started", "run_finished"]


def test_leaving_an_observed_run_is_told_as_it_is(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(
        rows=[started(), observing()], script=[(True, [])] * 9, state={**STATUS, "state": "observing"}
    )
    assert cli("run", "--yes", "--json") == 0
    events = lines(capsys)
    assert [e["event"] for e in events] == ["run_started", "observing", "run_finished"]
    assert events[-1] | {"time": 0} == {
        "event": "run_finished", "time": 0, "run": RUN, "result": "stopped", "exit_code": 0,
        "report": "/nowhere/report.json", "state": "observing",
    }  # fmt: skip
    ready.reader = FakeReader(
        rows=[started(), observing()], script=[(True, [])] * 9, state={**STATUS, "state": "observing"}
    )
    assert cli("run", "--yes", "--plain") == 0
    shown = capsys.readouterr()
    assert "PostgreSQL owns the writes" in shown.out
    assert f"stepflow cleanup {RUN}" in shown.err


def test_watching_an_observed_run_goes_on(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    """`attach` watches until the run ends, and a run that was rolled back meanwhile is not taken for an observed one."""
    script = [(True, []), (True, [row(3, "phase", phase="cleanup", state="running")]), (True, [finished(4)])]
    ready.reader = FakeReader(rows=[started(), observing()], script=script, state={**STATUS, "state": "observing"})
    assert cli("attach", "--json") == 0
    assert [e["event"] for e in lines(capsys)] == ["run_started", "observing", "phase", "run_finished"]
    ready.reader = FakeReader(rows=[started(), observing()], script=[(True, []), (True, [finished(3, "rolled_back")])])
    ready.reader.state = {**STATUS, "state": "rolling_back"}
    assert cli("run", "--yes", "--json") == 0
    assert lines(capsys)[-1]["result"] == "rolled_back"


def test_intents_carry_what_the_engine_needs(cli: Cli, ready: FakeEngine) -> None:
    ready.reader.state = STATUS
    assert cli("tick", "shop", "vpn", "--note", "checked", "--yes") == 0
    assert cli("continue", "--yes", "--confirm", "shop") == 0
    assert cli("note", "shop", "words") == 0
    assert cli("alerts", "ack", "shop", "throttled", "--note", "known") == 0
    sent = [call for call in ready.calls if call[0] != "resolve_run"]
    assert sent == [
        ("tick", {"item": "vpn", "note": "checked"}),
        ("continue", {"yes": True, "confirm": "shop"}),
        ("note", {"text": "words"}),
        ("ack", {"code": "throttled", "note": "known"}),
    ]


def test_status_as_json_and_as_text(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    assert cli("status", "--json") == 0
    assert json.loads(capsys.readouterr().out) == STATUS
    assert cli("status", "--max-age", "30s") == 0
    shown = capsys.readouterr().out
    assert "50 of 100 rows (50 %), 10 rows/s, 5.0 s left" in shown
    assert "\x1b" not in shown
    assert "rollback is possible; it would lose: the copied rows" in shown
    assert cli("status", "--max-age", "100ms") == 1
    assert cli("status", "--max-age", "soon") == 2


def test_no_such_run(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    assert cli("status", "nothing", "--json") == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_such_run"
    assert cli("attach", "nothing", "--json") == 2
    assert "error" in json.loads(capsys.readouterr().out)


def test_demo_makes_runs_and_tidies_up(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(script=[(True, [started(), finished(2)])])
    assert cli("demo", "--rows", "10") == 0
    assert [name for name, _ in ready.calls] == ["make_demo", "start", "end_demo"]
    assert ready.calls[1][1]["yes"] is True, "without a terminal a demo implies --yes"
    assert "report.html" in capsys.readouterr().err
    ready.calls.clear()
    ready.reader = FakeReader(script=[(True, [started(), finished(2)])])
    assert cli("demo", "--keep") == 0
    assert [name for name, _ in ready.calls] == ["make_demo", "start", "keep_demo"]
    assert cli("demo", "files-to-database") == 2


class Signalled(FakeReader):
    """Sends this process a signal at the second look."""

    number = signal.SIGINT

    def engine(self) -> Any:
        sign = super().engine()
        if self.looks == 2:
            os.kill(os.getpid(), self.number)
        return sign


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_the_run_and_name_the_abort_command(
    number: signal.Signals, code: int, cli: Cli, ready: FakeEngine, capsys: Capture
) -> None:
    ready.reader = Signalled(script=[(True, [started()])] + [(True, [])] * 50)
    ready.reader.number = number
    assert cli("run", "--plain") == code
    assert f"stepflow abort {RUN}" in capsys.readouterr().err
    ready.reader = Signalled(script=[(True, [started()])] + [(True, [])] * 50)
    ready.reader.number = number
    assert cli("attach", "--json") == code
    assert lines(capsys)[-1] | {"time": 0} == {
        "event": "run_finished", "time": 0, "run": RUN, "result": "stopped", "exit_code": code, "report": None,
    }  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_before_a_run_is_known(
    number: signal.Signals, code: int, cli: Cli, ready: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    async def start(loaded: Any, **options: Any) -> None:
        os.kill(os.getpid(), number)
        await asyncio.Event().wait()  # until the signal ends it

    monkeypatch.setattr(ready, "start", start, raising=False)
    assert cli("run", "--json") == code
    assert [(e["event"], e["result"], e["exit_code"]) for e in lines(capsys)] == [("run_finished", "stopped", code)]
    assert cli("run") == code
    assert "stepflow runs" in capsys.readouterr().err


def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stepflow_tui", "runs", "--json", "--state-dir", str(tmp_path / "state")]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, check=False, text=True, timeout=60
        )
    assert done.returncode == 1
    assert "output_lost" in done.stderr
    assert "Traceback" not in done.stderr


def test_findings_in_json_have_their_words(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    data = {"stage": "preflight", "code": "source_changed", "severity": "warning", "object": None, "params": {}}
    found = {**row(2, "finding"), "data": data}
    ready.reader = FakeReader(script=[(True, [started(), found]), (True, [finished(3)])])
    assert cli("run", "--json", "--yes") == 0
    event = lines(capsys)[1]
    assert event["what"].startswith("The source changed")
    assert event["fix"]
