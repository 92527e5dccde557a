"""stdout and stderr: harmless text, exact JSON, quiet ends."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.cli.output import to_json
from stepflow_tui.cli.views import BarView, JsonView, PlainView
from stepflow_tui.engine.model.finding import blocking, info
from stepflow_tui.render import words
from stepflow_tui.render.clean import clean, clean_line
from stepflow_tui.render.events import event_lines
from stepflow_tui.render.findings import finding_json, findings_lines
from tests.unit.cli_kit import A_WARNING, CONFIG, FakeEngine, Found

Cli = Callable[..., int]
EVIL = "\x1b]52;c;x\x07\x9b2J\u202eevil\u2066\x00"


def test_control_characters_never_reach_the_terminal() -> None:
    assert clean(EVIL) == "]52;c;x2Jevil"
    assert clean("a\tb\nc\r") == "a\tb\nc"
    assert clean_line("a\nb\tc") == "a b c"
    assert clean("\ud800") == "\\ud800"


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_json_is_exact_and_harmless(text: str) -> None:
    line = to_json({"v": text, "b": b"\x00\xff"})
    assert json.loads(line) == {"v": text, "b": {"$hex": "00ff"}}
    assert clean(line) == line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.44, "0.4 s"), (59.2, "59 s"), (61, "1 min 1 s"), (3700, "1 h 1 min"), (90_000, "1 d 1 h"), (None, "unknown")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert words.seconds(value) == text


def test_sizes_and_progress() -> None:
    assert [words.size(v) for v in (None, 10, 1536, 1 << 40)] == ["?", "10 B", "1.5 KiB", "1.0 TiB"]
    bar = {
        "done": 512,
        "total": 1024,
        "unit": "bytes",
        "rate_per_second": 100.0,
        "eta_seconds": 5.1,
        "throttle": "target load",
    }
    assert words.progress(bar) == "512 B of 1.0 KiB (50 %), 100 B/s, 5.1 s left, throttled: target load"
    assert words.progress({"done": 5, "total": None, "unit": "rows"}) == "5 rows"


def test_findings_are_shown_heaviest_first() -> None:
    shown = list(findings_lines([info("a", x=1), A_WARNING, blocking("b")]))
    assert [line.split(" ")[0] for line in shown if line[:1].isupper()] == ["BLOCKING", "WARNING", "INFO"]
    assert shown[-1] == "1 blocking, 1 warning, 1 info"
    assert set(finding_json(A_WARNING)) == {"severity", "code", "what", "why", "fix", "object"}


def test_every_public_event_has_a_line_without_controls() -> None:
    events = [
        {"event": "run_started", "run": EVIL, "kind": "k", "environment": "e", "resumed": True},
        {"event": "phase", "phase": "backfill", "state": "running"},
        {"event": "step", "step": "copy", "state": "done", "seconds": 1.5},
        {"event": "finding", "code": EVIL, "severity": "warning", "params": {"x": EVIL}, "object": EVIL},
        {
            "event": "gate",
            "phase": "backfill",
            "state": "open",
            "questions": [{"kind": "object", "id": "x", "params": {"name": EVIL}}],
        },
        {
            "event": "alert",
            "code": "disk_low",
            "severity": "critical",
            "state": "raised",
            "params": {"free_bytes": 1, "folder": EVIL},
        },
        {"event": "alert", "code": "disk_low", "severity": "critical", "state": "raised", "params": {}},
        {"event": "discrepancy", "table": EVIL, "column": "c", "key": {"id": 1}, "class": "changed", "cause": EVIL},
        {"event": "error", "message": EVIL, "detail": EVIL, "hint": "h", "code": "c"},
        {"event": "run_finished", "result": "failed", "exit_code": 1, "report": None},
    ]
    for event in events:
        shown = list(event_lines(event))
        assert shown
        assert all(clean(line) == line and "\n" not in line for line in shown)
    assert list(event_lines({"event": "unknown"})) == []


def test_progress_lines_are_at_most_one_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    bar = {
        "step": "copy",
        "item": "",
        "done": 0,
        "total": 9,
        "unit": "rows",
        "rate_per_second": None,
        "eta_seconds": None,
        "throttle": "",
    }
    running = {"event": "step", "step": "copy", "state": "running"}
    for view in (JsonView("r", clock=lambda: now[0]), PlainView(clock=lambda: now[0])):
        view.event(running)
        capsys.readouterr()
        for tick in range(12):
            now[0] += 0.25
            view.progress([{**bar, "done": tick}, {**bar, "item": "a", "done": tick}])
        view.close()
        assert len(capsys.readouterr().out.splitlines()) == (3 if isinstance(view, JsonView) else 2)


def test_figures_of_ended_steps_are_not_news(capsys: pytest.CaptureFixture[str]) -> None:
    now = [100.0]
    view = PlainView(clock=lambda: now[0])
    old = {"step": "backup", "item": "", "done": 9, "total": 9, "unit": "pages", "throttle": ""}
    view.progress([old])
    view.event({"event": "step", "step": "copy", "state": "running"})
    view.progress([old, {**old, "step": "copy", "done": 3}])
    view.event({"event": "step", "step": "copy", "state": "done", "seconds": 1.0})
    now[0] += 60
    view.progress([old, {**old, "step": "copy", "done": 9}])
    shown = capsys.readouterr().out
    assert "3 of 9 pages" in shown
    assert "9 of 9 pages" not in shown


def test_bars_draw_on_a_terminal_and_leave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("TERM", "xterm")
    view = BarView(color=False)
    bar = {
        "step": "copy",
        "item": "",
        "done": 1,
        "total": 9,
        "unit": "rows",
        "rate_per_second": 2.0,
        "eta_seconds": 4.0,
        "throttle": "",
    }
    view.progress([bar, {**bar, "item": f"[/x] {EVIL}"}])
    view.event({"event": "step", "step": "copy", "state": "done", "seconds": 1.0})
    view.close()
    view.close()
    assert "Copy the rows: done in 1.0 s" in screen.getvalue()
    assert "]52;c" not in screen.getvalue() or "\x1b]52" not in screen.getvalue()
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h"), "the cursor is shown again"


def test_a_closed_pipe_ends_quietly(
    cli: Cli, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(text: str) -> int:
        raise BrokenPipeError

    monkeypatch.setattr("stepflow_tui.cli.output._write", write)
    redirected: list[int] = []
    monkeypatch.setattr("os.dup2", lambda a, b: redirected.append(b))
    monkeypatch.setattr(sys.stdout, "fileno", lambda: 1, raising=False)
    assert cli("runs") == 141
    assert redirected == [1]
    assert capsys.readouterr().err == ""


def test_check_and_verify_give_their_codes(
    cli: Cli, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stepflow.yaml").write_text(CONFIG)
    engine.found = Found(findings=[blocking("source_missing", "x")], exit_code=4)
    assert cli("check", "--json") == 4
    assert json.loads(capsys.readouterr().out)["findings"][0]["severity"] == "blocking"
    assert cli("plan") == 4
    assert "BLOCKING" in capsys.readouterr().out
    assert cli("verify", "--export", "out.json", "--repair", "plan") == 5
    assert "update" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())[0]["class"] == "changed"
    assert (tmp_path / "out.json").stat().st_mode & 0o077 == 0
    assert cli("verify", "--repair", "apply") == 6
    assert cli("check", "--create-target") == 6


def test_looking_after_things(cli: Cli, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("alerts", "list") == 0
    assert "acknowledged by ann" in capsys.readouterr().out
    assert cli("alerts", "stats") == 0
    assert cli("audit", "verify") == 5
    assert "edited at entry 1" in capsys.readouterr().out
    assert cli("backups", "verify", "x.db") == 4
    assert cli("backups", "restore", "x.db", "--to", "y.db") == 6
    assert cli("backups", "restore", "x.db", "--to", "y.db", "--yes") == 0
    assert cli("report") == 0
    assert capsys.readouterr().out.endswith("# Report md[31m\n")
    assert cli("embedded", "dsn") == 0
    assert capsys.readouterr().out == "postgresql:///x\n"
    assert cli("doctor") == 0
