"""How recipes run their tools: by arguments, in time, with everything they started, and nothing secret in what is shown."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stepflow_tui.engine.application import streams
from stepflow_tui.engine.application.recipes import recipes_of, tools
from stepflow_tui.engine.application.recipes.process import process_of
from stepflow_tui.engine.application.recipes.tools import Output, must, run_tool
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.config_application import Application
from stepflow_tui.engine.model.redact import redactor
from tests.recipe_kit import CANARY, refusal
from tests.run_kit import until

REDACT = redactor([CANARY])


async def run(
    argv: Sequence[str], seconds: float = 20.0, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> Output:
    return await run_tool(argv, folder=folder, env=env, seconds=seconds, redact=REDACT)


async def test_arguments_are_not_read_by_a_shell(tmp_path: Path) -> None:
    output = await run(["printf", "%s|", "$HOME", "a b", "`id`", "*"], folder=tmp_path)
    assert (output.status, output.text) == (0, "$HOME|a b|`id`|*|")


async def test_both_streams_are_kept_apart_and_only_the_shown_one_is_redacted() -> None:
    output = await run(["sh", "-c", f"echo '{{\"a\": \"{CANARY}\"}}'; printf 'told {CANARY}\\033[2J\\n' >&2; exit 3"])
    assert output.text == f'{{"a": "{CANARY}"}}\n'
    assert (output.status, output.said, output.ending) == (3, "told ***", "exit status 3")
    assert CANARY not in repr(output)


async def test_the_error_shows_the_command_and_its_words_without_secrets() -> None:
    error = await refusal(must(["sh", "-c", f"echo no {CANARY}; exit 1"], "Starting it", seconds=20, redact=REDACT))
    assert error.code == "recipe_failed"
    assert error.message.startswith("Starting it failed: sh -c")
    assert error.detail == "no ***"


async def test_time_that_is_over_ends_the_tool_and_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stepflow_tui.engine.application.streams.GRACE_SECONDS", 0.2)
    script = "trap '' TERM; echo $$ > pids; sh -c 'trap \"\" TERM; echo $$ >> pids; sleep 300'; true"
    output = await run(["sh", "-c", script], seconds=0.5, folder=tmp_path)
    assert output.status is None
    assert "not finished" in output.ending
    pids = (tmp_path / "pids").read_text().split()
    assert len(pids) == 2
    for pid in pids:  # killed with its parent; the system takes its time to forget it
        await asyncio.to_thread(until, lambda pid=pid: process_of(int(pid)) is None)


async def test_a_tool_that_leaves_something_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    output = await run(["sh", "-c", "sleep 30 & echo $! > pid; echo done"], folder=tmp_path)
    assert (output.ok, output.text) == (True, "done\n")
    assert output.seconds < 20
    await run(["kill", (tmp_path / "pid").read_text().strip()])


async def test_output_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "KEPT_BYTES", 1_000)
    output = await run(["sh", "-c", "yes 0123456789 | head -c 3000000; echo end"])
    assert len(output.text) < 200_000
    assert output.text.endswith("end\n")


async def test_tools_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plain").write_text("no program")
    for argv in (["no-such-tool"], ["./plain"], ["./missing"]):
        error = await refusal(run(argv, folder=tmp_path))
        assert error.code == "recipe_tool_missing"
        assert argv[0].removeprefix("./") in error.message
    error = await refusal(run(["true"], folder=tmp_path / "missing"))
    assert error.code == "recipe_failed"
    own = tmp_path / "own-tool"
    own.write_text("#!/bin/sh\necho own\n")
    own.chmod(0o755)
    assert (await run(["own-tool"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"})).text == "own\n"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert (await run(["own-tool"])).text == "own\n"


async def test_a_tool_gets_few_variables_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", CANARY)
    output = await run(["env"], env={"MINE": "1"})
    names = {line.partition("=")[0] for line in output.text.splitlines()}
    assert {"MINE", "PATH", "LC_ALL"} <= names
    assert "DATABASE_URL" not in names


async def test_what_a_tool_makes_can_be_read_by_whom_the_operator_lets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's own files are private; what git checks out for a web server must not be."""
    monkeypatch.setattr(streams, "_UMASK", [])
    theirs = os.umask(0o022)
    try:
        streams.keep_private()
        (tmp_path / "own").touch()
        await run(["touch", "made"], folder=tmp_path)
    finally:
        os.umask(theirs)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("own", "made")] == [0o600, 0o644]


def test_two_recipes_for_the_same_thing_are_refused(tmp_path: Path) -> None:
    def made(*recipes: Mapping[str, str]) -> list[str]:
        config = Application.model_validate({"recipe": recipes})
        return [r.name for r in recipes_of(config, folder=tmp_path, keep=tmp_path / "keep", redact=REDACT)]

    one = {"kind": "command", "command": shlex.join(["true"]), "pid_file": str(tmp_path / "one.pid")}
    assert made(one, {**one, "pid_file": str(tmp_path / "two.pid")}) == ["command one", "command two"]
    with pytest.raises(ConfigError) as error:
        made(one, one)
    assert error.value.code == "recipe_twice"
    assert not (tmp_path / "keep").exists(), "making them touches nothing"
