"""`switch`, `cutover` and `cleanup` against a facade in memory: what they show, ask and send."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stepflow_tui.engine.texts.switching import STRATEGIES
from tests.tui.live_states import GATE, REHEARSAL, at_cutover, differing, moved_back, observing, soaking, switching
from tests.unit.cli_kit import RUN, FakeEngine, FakeReader, finished, row, started

Cli = Callable[..., int]
Capture = pytest.CaptureFixture[str]


def status(shown: Any = None, **more: Any) -> dict[str, Any]:
    """A live run's status."""
    return {**(shown or switching()).status, "run": RUN, **more}


@pytest.fixture(autouse=True)
def ready(engine: FakeEngine) -> FakeEngine:
    """A run that switches reads, a quarter of them so far."""
    moves = [
        row(3, "switch", **{"from": 5, "to": 25, "by": "ann", "reason": "held long enough"}),
        row(4, "switch_rolled_back", **{"from": 25, "to": 0, "signal": "p95", "params": {"new": 812.3, "limit": 500}}),
    ]
    engine.reader = FakeReader(rows=[started(), *moves], state=status())
    return engine


def sent(ready: FakeEngine) -> list[tuple[str, Any]]:
    return [call for call in ready.calls if call[0] != "resolve_run"]


def test_help_defines_every_strategy(cli: Cli, capsys: Capture) -> None:
    assert cli("switch", "--help") == 0
    told = " ".join(capsys.readouterr().out.split())
    assert [name for name, text in STRATEGIES.items() if " ".join(text.split()) not in told] == []
    assert set(STRATEGIES) == {"immediate", "gradual", "canary", "ab", "blue-green"}


def test_show_in_words_and_as_json(cli: Cli, capsys: Capture) -> None:
    assert cli("switch", "show", "shop") == 0
    told = capsys.readouterr().out
    for text in (
        "25 %",
        "stage 3 of 5, strategy gradual",
        "37,201 reads",
        "0.02 % errors",
        "✓ no row differs",
        "1,204",
    ):
        assert text in told
    assert cli("switch", "show", "shop", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["run"], shown["switch"]["percentage"], shown["lag"]["changes"]) == (RUN, 25, 1204)
    assert {"code": "differing", "ok": True} in shown["guards"]


def test_without_signs_a_guard_is_told_in_words(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader.state = status(differing())
    assert cli("switch", "show", "shop", "--plain") == 0
    told = capsys.readouterr().out
    assert "stands in the way: rows differ: 3" in told
    assert "holds: the switch is armed" in told


@pytest.mark.parametrize("command", ["show", "analytics"])
def test_a_run_without_a_switch_says_so(cli: Cli, ready: FakeEngine, capsys: Capture, command: str) -> None:
    ready.reader.state = status(switch=None)
    assert cli("switch", command, "shop") == 0
    assert "not there yet" in capsys.readouterr().out
    ready.reader.state = status(switch=None, live=None, phases=[])
    assert cli("switch", command, "shop") == 0
    assert "only runs in mode live" in capsys.readouterr().out
    assert cli("switch", command, "shop", "--json") == 0
    assert json.loads(capsys.readouterr().out)["run"] == RUN


def test_analytics_compare_the_sides_and_list_every_move(cli: Cli, capsys: Capture) -> None:
    assert cli("switch", "analytics", "shop") == 0
    told = capsys.readouterr().out
    assert "37201" in told
    assert "reads to the new side: 5 % → 25 % (ann, held long enough)" in told
    assert "READS MOVED BACK to the old side from 25 %: the new side answers too slowly: p95 812 ms" in told
    assert cli("switch", "analytics", "shop", "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["new"]["error_rate"] == pytest.approx(100 * 3 / 12_400)
    assert [move["event"] for move in shown["moves"]] == ["switch", "switch_rolled_back"]
    assert "seq" not in shown["moves"][0]


@pytest.mark.parametrize(
    ("percent", "flags", "shown", "code", "share"),
    [
        ("50", ["--yes"], switching, 0, 5_000),
        ("50", [], switching, 6, None),
        ("1", [], switching, 0, 100),  # fewer reads ask nothing
        ("0.5", [], switching, 0, 50),
        ("100", ["--yes"], at_cutover, 0, 10_000),
        ("100", ["--confirm", "shop"], switching, 0, 10_000),
        ("100", ["--yes", "--confirm", "other"], switching, 6, None),
        ("100", [], switching, 6, None),
        ("50", [], soaking, 6, None),
        ("101", ["--yes"], switching, 2, None),
        ("nan", ["--yes"], switching, 2, None),
        ("many", ["--yes"], switching, 2, None),
    ],
)
def test_set(
    cli: Cli, ready: FakeEngine, percent: str, flags: list[str], shown: Any, code: int, share: int | None
) -> None:
    ready.reader.state = status(shown())
    assert cli("switch", "set", percent, "shop", *flags) == code
    shares = [args["share"] for verb, args in sent(ready) if verb == "switch"]
    assert shares == ([] if share is None else [share])


def outcome(seq: int, event: str, **data: Any) -> dict[str, Any]:
    """An event whose data may have a `code` of its own."""
    return {**row(seq, event), "data": data}


def test_what_became_of_a_move_is_told(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader.rows = [started()]
    assert cli("switch", "set", "50", "shop", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run": RUN, "state": "accepted", "answer": {}, "move": None}
    assert cli("switch", "set", "50", "shop", "--yes") == 0
    assert "Asked for" in capsys.readouterr().err
    ready.reader.rows = [started(), outcome(2, "switch", **{"from": 25, "to": 50, "by": "ann"})]
    assert cli("switch", "set", "50", "shop", "--yes") == 0
    assert capsys.readouterr().out == "reads to the new side: 25 % → 50 % (ann)\n"
    assert cli("switch", "set", "50", "shop", "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["move"]["to"]) == ("done", 50)


def test_a_move_that_was_refused_is_no_success(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    words = "Reads were moved back by themselves, and the switch is not armed."
    ready.reader.rows = [started(), outcome(2, "switch_refused", code="switch_disarmed", message=words)]
    assert cli("switch", "set", "50", "shop", "--yes") == 4
    shown = capsys.readouterr()
    assert (shown.out, words in shown.err, "switch_disarmed" in shown.err) == ("", True, True)
    assert cli("switch", "set", "50", "shop", "--yes", "--json") == 4
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "switch_disarmed"


def test_in_production_yes_is_not_enough_for_all_reads(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader.state = status(environment="production")
    assert cli("switch", "set", "100", "shop", "--yes") == 6
    assert "--confirm shop" in capsys.readouterr().err
    assert cli("switch", "set", "100", "shop", "--yes", "--confirm", "shop") == 0
    assert sent(ready) == [("switch", {"share": 10_000, "yes": True, "confirm": "shop"})]


def test_back_and_rearm_ask_once(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader.state = status(moved_back())
    for command, verb in (("back", "switch_back"), ("rearm", "switch_rearm")):
        ready.calls.clear()
        assert cli("switch", command, "shop") == 6
        assert sent(ready) == []
        assert cli("switch", command, "shop", "--yes") == 0
        assert sent(ready) == [(verb, {})]


@pytest.mark.parametrize("command", [["switch", "set", "1"], ["switch", "back"], ["switch", "rearm"]])
def test_a_reader_moves_nothing(cli: Cli, ready: FakeEngine, command: list[str]) -> None:
    assert cli(*command, "--read-only") == 2
    assert sent(ready) == []


def test_a_cutover_asks_for_the_name_and_follows_to_the_observation(
    cli: Cli, ready: FakeEngine, capsys: Capture
) -> None:
    events = [row(5, "cutover_fenced", seconds=0.0), row(6, "cutover_writes_open", seconds=0.31), row(7, "observing")]
    ready.reader = FakeReader(rows=[started(), *events], script=[(True, [])] * 9)
    ready.reader.state = status(at_cutover(), state="observing", gate=GATE)
    assert cli("cutover", "shop") == 6
    assert "point of no return" in capsys.readouterr().err
    assert sent(ready) == []
    assert cli("cutover", "shop", "--yes") == 0
    assert sent(ready) == [("continue", {"phase": "cutover", "yes": True, "confirm": None})]
    told = capsys.readouterr().out
    assert "cutover: writes to SQLite are refused from now on" in told
    assert "cutover: PostgreSQL takes writes; they stood still for 0.31 s" in told
    assert f"{RUN}: observing" in told


def test_a_cutover_as_json_is_one_object(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(rows=[started(), row(7, "observing")], script=[(True, [])] * 9)
    ready.reader.state = status(at_cutover(), state="observing")
    assert cli("cutover", "shop", "--yes", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run": RUN, "state": "observing", "answer": {}}


def test_a_cutover_that_fails_exits_with_its_code(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    error = row(5, "error")
    error["data"] = {
        "code": "freeze_too_long",
        "message": "It took too long.",
        "detail": "",
        "hint": "Later.",
        "exit_code": 1,
    }
    ready.reader = FakeReader(rows=[started(), error, finished(6, "failed", 1)], state=status(at_cutover()))
    assert cli("cutover", "shop", "--yes") == 1
    assert "It took too long." in capsys.readouterr().out


@pytest.mark.parametrize(("guards", "code"), [([], 0), (REHEARSAL["guards"], 4)])
def test_a_rehearsal_is_awaited_and_tells_every_guard(
    cli: Cli, ready: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: Capture, guards: Any, code: int
) -> None:
    before = status(at_cutover())
    done = {"freeze_seconds": 0.42, "guards": guards, "at": "2026-11-22T12:04:00.000Z"}
    after = {**before, "live": {**before["live"], "rehearsal": done}}
    states = [before, before, after]
    monkeypatch.setattr("stepflow_tui.cli.cutover.LOOK_SECONDS", 0.0)
    monkeypatch.setattr(ready.reader, "status", lambda: states.pop(0) if len(states) > 1 else after)
    assert cli("cutover", "shop", "--rehearse") == code
    told = capsys.readouterr().out
    assert "writes would stand still for about 0.42 s" in told
    assert ("✗ a hook is not ready" in told) is bool(guards)
    assert sent(ready) == [("rehearse", {})]


def test_a_rehearsal_without_an_answer_says_so(
    cli: Cli, ready: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("stepflow_tui.cli.cutover.LOOK_SECONDS", 0.0)
    monkeypatch.setattr("stepflow_tui.cli.cutover.PATIENCE_SECONDS", 0.0)
    assert cli("cutover", "shop", "--rehearse", "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_rehearsal"


def test_a_rehearsal_whose_engine_ends_is_not_waited_for(
    cli: Cli, ready: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr("stepflow_tui.cli.cutover.LOOK_SECONDS", 0.0)
    ready.reader.state = {**status(at_cutover()), "engine": {"pid": None, "alive": False, "heartbeat_seconds": 3.0}}
    assert cli("cutover", "shop", "--rehearse", "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "no_rehearsal"


@pytest.mark.parametrize("args", [("--yes",), ("--rehearse",)])
def test_a_run_without_a_cutover_says_nothing_of_writes(
    cli: Cli, ready: FakeEngine, capsys: Capture, args: tuple[str, ...]
) -> None:
    shown = status(at_cutover())
    ready.reader.state = {**shown, "phases": [p for p in shown["phases"] if p["name"] in ("prepare", "backfill")]}
    assert cli("cutover", "shop", *args) == 2
    told = capsys.readouterr().err
    assert "no_such_intent" in told
    assert "refused, the last changes" not in told
    assert sent(ready) == []


def test_a_conversion_says_nothing_of_writes_that_move(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    shown = status(at_cutover(), kind="sqlite-wal")
    own = [p for p in shown["phases"] if p["name"] != "switch_reads"]
    ready.reader = FakeReader(rows=[started(), finished(9)], state={**shown, "phases": own})
    cli("cutover", "shop", "--yes")
    assert "Writes to SQLite" not in capsys.readouterr().err


def test_a_cleanup_asks_for_the_name_and_follows_to_the_end(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader = FakeReader(rows=[started(), finished(9)], state=status(observing()))
    assert cli("cleanup", "shop") == 6
    assert "closes the way back" in capsys.readouterr().err
    assert cli("cleanup", "shop", "--yes") == 0
    assert sent(ready) == [("cleanup", {"yes": True, "confirm": None, "rename": False})]
    assert f"{RUN}: completed" in capsys.readouterr().out


def test_status_tells_about_the_live_part(cli: Cli, ready: FakeEngine, capsys: Capture) -> None:
    ready.reader.state = status(observing())
    assert cli("status", "shop") == 0
    told = capsys.readouterr().out
    for text in (
        "writes go to PostgreSQL",
        "behind by 1,204 changes, 1.1 s",
        "kept by process 4242 (python shop.py) for 1 min 33 s",
        "comparison: 3 passes, clean at 12:03:40",
        "going back now: nothing is lost: what is not there yet is carried to SQLite first (1,204); it takes about 21 s",
    ):
        assert text in told
