"""Hooks with real shells: what they get, what is kept of them, and what becomes of those that fail, hang or are cut off."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.application import commands, streams
from stepflow_tui.engine.application.commands import Session, end_session, run_command
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.steps import hooks
from tests.hook_kit import Hooks, hook_bench
from tests.run_kit import Bench, until

ROOT = Path(__file__).parents[2]
CANARY = "c4nary-geheim"


def at(side: str, *commands: dict[str, Any], phase: str = "backfill") -> Hooks:
    return {phase: {side: list(commands)}}


def lines(folder: Path, name: str = "log") -> list[str]:
    file = folder / name
    return file.read_text().split() if file.exists() else []


async def evidence(made: Bench, step: str = "backfill.hook-before-1") -> dict[str, Any]:
    row = await made.journal.step_row(step)
    found: dict[str, Any] = json.loads(row["evidence"] or "{}")
    return found


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and waits for its parent does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_hooks_run_in_order_and_their_output_is_evidence(tmp_path: Path) -> None:
    both = {
        "before": [{"run": "echo before1 >> log; echo told"}, {"run": "echo before2 >> log"}],
        "after": [{"run": "echo after1 >> log; echo $STEPFLOW_RUN $STEPFLOW_PHASE $STEPFLOW_HOOK $STEPFLOW_ACTION"}],
    }
    async with hook_bench(tmp_path, {"backfill": both}) as made:
        assert await made.runner.run() == 0
        assert lines(tmp_path) == ["before1", "before2", "after1"]
        first = await evidence(made)
        assert (first["status"], first["output"], first["cut"]) == (0, "told", False)
        last = await evidence(made, "backfill.hook-after-1")
        assert last["output"] == f"{made.ctx.run_id} backfill after run"
        told = [e for e in await made.events("step") if e["step"] == "hook-before-1" and e["state"] == "done"]
        assert told[0]["evidence"]["output"] == "told"


async def test_a_command_gets_few_variables_and_none_of_the_engines_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://ann:{CANARY}@h/d")
    monkeypatch.setenv("LC_TIME", "C")
    hook = {"run": "env > got; cat > input; pwd > where", "env": {"TOKEN": "t0ken-value"}}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 0
    got = dict(line.partition("=")[::2] for line in (tmp_path / "got").read_text().splitlines())
    assert got["TOKEN"] == "t0ken-value"
    assert {"PATH", "LC_TIME", "STEPFLOW_RUN", "STEPFLOW_STATE_DIR"} <= got.keys()
    assert "DATABASE_URL" not in got
    assert "STEPFLOW_HOOK_COMMAND" not in got
    assert (tmp_path / "input").read_bytes() == b""
    assert (tmp_path / "where").read_text().strip() == str(tmp_path)


async def test_secrets_stand_in_no_argument_and_in_nothing_that_is_kept(tmp_path: Path) -> None:
    command = (
        f"true {CANARY}; tr '\\000' ' ' < /proc/$$/cmdline > arguments; echo $TOKEN; echo \"[$TOKEN]\" >&2; exit 1"
    )
    hook = {"run": command, "env": {"TOKEN": CANARY}}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 1
        assert (await evidence(made))["output"] == "***\n[***]"
        [error] = await made.events("error")
        run_dir = made.ctx.run_dir
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.startswith("/bin/sh -c")
    assert CANARY not in arguments
    assert CANARY not in json.dumps(error)
    kept = [f for f in run_dir.rglob("*") if f.is_file()]
    assert kept
    assert [f.name for f in kept if CANARY.encode() in f.read_bytes()] == []


async def test_output_is_bounded_and_harmless(tmp_path: Path) -> None:
    hook = {"run": "i=0; while [ $i -lt 30000 ]; do echo line-$i; i=$((i+1)); done; printf '\\033[2Jend\\007'"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 0
        kept = await evidence(made)
    assert kept["cut"]
    assert len(kept["output"]) <= commands.SHOWN_CHARACTERS
    assert kept["output"].endswith("line-29999\nend")
    assert kept["output"].startswith("line-")


async def test_half_a_secret_at_the_cut_is_not_shown() -> None:
    kept = commands.Newest(commands.KEPT_BYTES)
    kept.add(b"x" * commands.KEPT_BYTES)
    kept.add(CANARY.encode())
    kept.add(b"\x00" * (2 * commands.KEPT_BYTES - 5))  # the newest bytes begin within the secret
    kept.data = kept.data[-commands.KEPT_BYTES :]
    kept.data[:5] = CANARY.encode()[-5:]
    assert commands._shown(kept, lambda text: text.replace(CANARY, "***")) == ""


async def test_a_failing_hook_stops_the_run_is_undone_and_runs_again(tmp_path: Path) -> None:
    command = "echo $STEPFLOW_ACTION >> log; echo reason; test -e go"
    hook = {"run": command, "undo": "echo $STEPFLOW_ACTION >> log"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 1
        assert lines(tmp_path) == ["run", "undo"]
        assert await made.journal.state() is RunState.FAILED
        assert (await made.journal.step_row("backfill.work"))["attempt"] == 0
        [error] = await made.events("error")
        assert (error["code"], error["detail"]) == ("hook_failed", "reason")
        assert error["message"] == "The hook backfill.hook-before-1 failed and was taken back: exit status 1."
    (tmp_path / "go").touch()
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 0
    assert lines(tmp_path) == ["run", "undo", "run"]


async def test_a_hook_that_was_undone_when_it_failed_is_not_undone_again(tmp_path: Path) -> None:
    both = {
        "before": [
            {"run": "true", "undo": "echo undo1 >> log"},
            {"run": "false", "undo": "echo undo2 >> log"},
            {"run": "true", "undo": "echo never >> log"},
        ]
    }
    async with hook_bench(tmp_path, {"backfill": both}) as made:
        assert await made.runner.run() == 1
    async with hook_bench(tmp_path, {"backfill": both}) as made:
        made.runner.go_back(None)
        assert await made.runner.run() == 0
        assert await made.journal.state() is RunState.ROLLED_BACK
    assert lines(tmp_path) == ["undo2", "undo1"]


async def test_rollback_undoes_in_reverse_and_a_failing_undo_is_done_again(tmp_path: Path) -> None:
    both = {
        "before": [{"run": "true", "undo": "echo b1 >> log"}, {"run": "true"}],
        "after": [{"run": "true", "undo": "echo a1 >> log"}, {"run": "true", "undo": "echo a2 >> log; test -e go"}],
    }
    async with hook_bench(tmp_path, {"prepare": both}) as made:
        assert await made.runner.run() == 0
    async with hook_bench(tmp_path, {"prepare": both}) as made:
        made.runner.go_back(None)
        assert await made.runner.run() == 1
        assert await made.journal.state() is RunState.ROLLING_BACK
        assert [e["code"] for e in await made.events("error")] == ["hook_undo_failed"]
    (tmp_path / "go").touch()
    async with hook_bench(tmp_path, {"prepare": both}) as made:
        made.runner.go_back(None)
        assert await made.runner.run() == 0
    assert lines(tmp_path) == ["a2", "a2", "a1", "b1"]


async def test_a_failed_hook_whose_undo_fails_shows_both_and_is_undone_by_a_rollback(tmp_path: Path) -> None:
    hook = {"run": "echo no; false", "undo": "echo neither; echo undo >> log; test -e go"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 1
        [error] = await made.events("error")
        assert error["detail"] == "no\nneither"
        assert error["message"].endswith("failed, and its undo too: exit status 1; exit status 1.")
    (tmp_path / "go").touch()
    async with hook_bench(tmp_path, at("before", hook)) as made:
        made.runner.go_back(None)
        assert await made.runner.run() == 0
    assert lines(tmp_path) == ["undo", "undo"]


async def test_a_hook_with_an_undo_keeps_a_run_from_being_forgotten(tmp_path: Path) -> None:
    for name, hook in (("plain", {"run": "false"}), ("undoable", {"run": "false", "undo": "false"})):
        folder = tmp_path / name
        folder.mkdir()
        async with hook_bench(folder, at("before", hook, phase="prepare")) as made:
            assert await made.runner.run() == 1
            row = await made.journal.run_row()
            assert row is not None
            assert (row["changed_ms"] is not None) is (name == "undoable")


STUBBORN = "trap '' TERM; (trap '' TERM; echo $(exec sh -c 'echo $PPID') > child; exec sleep 60) & wait"


async def test_the_time_limit_ends_everything_that_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "GRACE_SECONDS", 0.2)
    hook = {"run": STUBBORN, "timeout": "2500ms", "undo": "echo undone >> log"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 1
        [error] = await made.events("error")
        assert "not finished after" in error["message"]
        assert (await evidence(made))["status"] is None
    assert lines(tmp_path) == ["undone"]
    assert not alive(int(lines(tmp_path, "child")[0]))


async def test_without_its_group_a_hanging_command_leaves_processes_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: ending the shell alone is not enough."""
    monkeypatch.setattr(streams, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(os, "killpg", os.kill)
    hook = {"run": STUBBORN, "timeout": "2500ms"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 1
    child = int(lines(tmp_path, "child")[0])
    assert alive(child)
    os.kill(child, signal.SIGKILL)


async def test_a_program_left_in_the_background_does_not_hold_up_the_run(tmp_path: Path) -> None:
    hook = {"run": "sleep 60 & echo $! > child; echo started", "timeout": "40s"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 0
        assert (await evidence(made))["output"] == "started"
    child = int(lines(tmp_path, "child")[0])
    assert alive(child)
    os.kill(child, signal.SIGKILL)


async def test_a_rollback_cuts_a_running_hook_off_and_undoes_it(tmp_path: Path) -> None:
    hook = {"run": "echo $$ > pid; sleep 60", "undo": "echo undone >> log"}
    async with hook_bench(tmp_path, at("before", hook)) as made:
        running = asyncio.create_task(made.runner.run())
        [pid] = await asyncio.to_thread(until, lambda: lines(tmp_path, "pid"))
        made.runner.go_back(None)
        assert await running == 0
        assert await made.journal.state() is RunState.ROLLED_BACK
    assert lines(tmp_path) == ["undone"]
    assert not alive(int(pid))


async def test_a_command_never_begins_before_its_process_is_written_down(tmp_path: Path) -> None:
    async def died(_: Session) -> None:
        raise RuntimeError("the engine is gone")

    with pytest.raises(RuntimeError):
        await run_command("touch begun", folder=tmp_path, env={}, seconds=30, redact=str, started=died)
    assert not (tmp_path / "begun").exists()


async def test_another_process_with_the_same_session_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        assert await end_session(Session(id=other.pid, token="0" * 32)) == 0
        assert other.poll() is None
        other.kill()


INTERRUPTED = "echo $STEPFLOW_ACTION >> log; test -e again || { touch again; (echo $(exec sh -c 'echo $PPID') > child; exec sleep 60) & wait; }"


def engine_killed_within(folder: Path, hook_list: Hooks) -> int:
    """Kill an engine process with its hook running; the pid of what the hook left running."""
    (folder / "hooks.json").write_text(json.dumps(hook_list))
    command = [sys.executable, "-m", "tests.hook_kit", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as engine:
        [pid] = until(lambda: lines(folder, "child"))
        engine.send_signal(signal.SIGKILL)
    return int(pid)


@pytest.mark.parametrize("undo", [True, False])
async def test_a_hook_whose_engine_was_killed_is_told_undone_and_run_again(tmp_path: Path, undo: bool) -> None:
    hook = {"run": INTERRUPTED} | ({"undo": "echo $STEPFLOW_ACTION >> log"} if undo else {})
    child = await asyncio.to_thread(engine_killed_within, tmp_path, at("before", hook))
    assert alive(child)  # nobody is left who would end it
    async with hook_bench(tmp_path, at("before", hook)) as made:
        assert await made.runner.run() == 0
        [finding] = await made.journal.findings()
        assert finding["code"] == ("hook_interrupted_undone" if undo else "hook_interrupted")
        assert finding["object"] == "backfill.hook-before-1"
        assert json.loads(finding["params"])["ended"] >= 1
    assert lines(tmp_path) == (["run", "undo", "run"] if undo else ["run", "run"])
    assert not alive(child)


PLACES = [(name, n) for name in ("before_intent", "after_intent", "after_effect", "after_done") for n in (1, 2, 3)]


@pytest.mark.parametrize(("place", "number"), PLACES)
async def test_killed_between_its_journal_entries_a_hook_is_run_once(tmp_path: Path, place: str, number: int) -> None:
    """Its success was written down, or it had not begun: no doubt is left, so nothing is undone."""
    told = "echo {0}-$STEPFLOW_ACTION >> log"
    pair = {
        "before": [{"run": told.format("b"), "undo": told.format("b")}],
        "after": [{"run": told.format("a"), "undo": told.format("a")}],
    }
    (tmp_path / "hooks.json").write_text(json.dumps({"backfill": pair}))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "STEPFLOW_FAILPOINT": f"{place}:{number}:kill"}
    engine = subprocess.run([sys.executable, "-m", "tests.hook_kit", str(tmp_path)], cwd=ROOT, env=env, check=False)
    assert engine.returncode == -signal.SIGKILL
    async with hook_bench(tmp_path, {"backfill": pair}) as made:
        assert await made.runner.run() == 0
        assert await made.journal.findings() == []
    assert lines(tmp_path) == ["b-run", "a-run"]


async def test_without_its_written_success_a_hook_would_run_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above."""

    async def unknown(_: object, __: object) -> None:
        return None

    hook = at("before", {"run": "echo run >> log"})
    (tmp_path / "hooks.json").write_text(json.dumps(hook))
    env = {**os.environ, "PYTHONPATH": str(ROOT), "STEPFLOW_FAILPOINT": "after_effect:1:kill"}
    subprocess.run([sys.executable, "-m", "tests.hook_kit", str(tmp_path)], cwd=ROOT, env=env, check=False)
    monkeypatch.setattr(hooks.HookStep, "probe", unknown)
    async with hook_bench(tmp_path, hook) as made:
        assert await made.runner.run() == 0
    assert lines(tmp_path) == ["run", "run"]


async def test_what_an_interrupted_hook_left_running_would_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control of the test above: two of the same command at once."""

    async def nothing(_: Session) -> int:
        return 0

    monkeypatch.setattr(hooks, "end_session", nothing)
    child = await asyncio.to_thread(engine_killed_within, tmp_path, at("before", {"run": INTERRUPTED}))
    async with hook_bench(tmp_path, at("before", {"run": INTERRUPTED})) as made:
        assert await made.runner.run() == 0
    assert alive(child)
    os.kill(child, signal.SIGKILL)
