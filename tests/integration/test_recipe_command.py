"""`kind: command` with a real application: forward, a start that fails, and back; never another process than its own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.application import streams
from stepflow_tui.engine.application.recipes import command, old_process, pid_file, process
from stepflow_tui.engine.application.recipes.base import Recipe
from stepflow_tui.engine.application.recipes.calls import until
from stepflow_tui.engine.application.recipes.notes import forget_old_processes
from stepflow_tui.engine.application.recipes.pid_file import forget_records
from stepflow_tui.engine.application.recipes.process import process_of
from tests.recipe_kit import CANARY, back, ended, forward, old_application, recipe, refusal, version
from tests.sample_app import call, command_line, free_port, healthy, make_app, nobody_answers


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "SETTLE_SECONDS", 0.3)


def of_command(folder: Path, port: int, app: str = "app", **more: Any) -> Recipe:
    made = {"kind": "command", "command": command_line(folder / app, port), "pid_file": str(folder / "shop.pid")}
    return recipe(folder, **made, **more)


def pid_of(folder: Path) -> int:
    return int((folder / "shop.pid").read_text())


async def test_forward_and_back_with_an_application_that_an_operator_started(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    old, _new = make_app(tmp_path / "old"), make_app(tmp_path / "app", version="2")
    made = of_command(tmp_path, port)
    with old_application(old, port, pid_file=pid) as theirs, ended(pid):
        before = await made.look()
        assert theirs.poll() is None, "looking changes nothing"
        json.dumps(before)
        await made.stop(before)
        assert theirs.wait(5) == 0, "it was asked to end, not killed"
        assert nobody_answers(port)
        await made.deploy(before)
        await made.start(before)
        assert (await healthy(port))["version"] == "2"
        assert os.getsid(pid_of(tmp_path)) == pid_of(tmp_path) != os.getsid(0), "it has a session of its own"
        await back(made, before)
        answer = await healthy(port)
        assert (answer["version"], answer["cwd"]) == ("1", str(old)), "the old command line in the old folder"
        assert answer["pid"] == pid_of(tmp_path)
        await made.stop(await made.look())
        assert nobody_answers(port)
        assert not pid.exists()


async def test_a_failing_start_leaves_the_old_application_running_and_healthy(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    old, new = make_app(tmp_path / "old"), make_app(tmp_path / "app", version="2")
    (new / "leak-and-exit").write_text("")
    (new / ".env").write_text(f"DATABASE_URL=postgresql://ann:{CANARY}@db/shop\nSECRET_KEY={CANARY}\n")
    made = of_command(tmp_path, port, env={"TOKEN": CANARY})
    with old_application(old, port, pid_file=pid), ended(pid):
        before = await made.look()
        await made.stop(before)
        await made.deploy(before)
        error = await refusal(made.start(before))
        assert error.code == "recipe_start_failed"
        assert "exit status 4" in error.message
        assert CANARY in await made.log_tail(), "the log is the application's own; who shows it redacts it"
        assert "TOKEN" in await made.variables()
        assert not any(CANARY in name for name in await made.variables())
        await back(made, before)
        assert (await healthy(port))["version"] == "1"


async def test_what_was_started_here_is_known_to_the_next_run(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    make_app(tmp_path / "app")
    make_app(tmp_path / "next", version="2")
    with ended(pid):
        first = of_command(tmp_path, port)
        assert not (await forward(first))["running"]
        await healthy(port)
        assert stat.S_IMODE(pid.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "shop.pid.log").stat().st_mode) == 0o600
        second = recipe(
            tmp_path / "app", kind="command", command=command_line(tmp_path / "next", port), pid_file=str(pid)
        )
        before = await forward(second)
        assert (await healthy(port))["version"] == "2"
        await back(second, before)
        assert (await healthy(port))["version"] == "1"


async def test_nothing_ran_before_so_nothing_is_started_on_the_way_back(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    make_app(tmp_path / "app")
    pid.write_text(f"{_ended_pid()}\n")
    made = of_command(tmp_path, port)
    with ended(pid):
        before = await made.look()
        assert not before["running"]
        assert "has ended" in before["why"]
        await forward(made)
        await healthy(port)
        await back(made, before)
        assert nobody_answers(port)
        standing = await made.standing()
        assert standing is not None
        assert not standing.running


async def test_every_action_can_be_done_twice(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    old, _new = make_app(tmp_path / "old"), make_app(tmp_path / "app", version="2")
    with old_application(old, port, pid_file=pid), ended(pid):
        before = await of_command(tmp_path, port).look()
        for action in ("stop", "deploy", "start"):
            for _ in range(2):
                await getattr(of_command(tmp_path, port), action)(before)
        assert (await healthy(port))["version"] == "2"
        new = pid_of(tmp_path)
        for action in ("stop", "put_back", "start"):
            for _ in range(2):
                await getattr(of_command(tmp_path, port), action)(before)
        assert process_of(new) is None
        assert (await healthy(port))["version"] == "1"


async def test_an_application_that_ignores_sigterm_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "STOP_SECONDS", 0.3)
    port, pid = free_port(), tmp_path / "shop.pid"
    app = make_app(tmp_path / "app")
    (app / "ignore-sigterm").write_text("")
    # a shell that stays in front, with a child beside the application
    line = f"trap '' TERM; sleep 300 & echo $! > child; {command_line(app, port).removeprefix('exec ')}"
    made = recipe(tmp_path, kind="command", command=line, pid_file=str(pid))
    with ended(pid):
        before = await forward(made)
        answer = await healthy(port)
        child = int((tmp_path / "child").read_text())
        await made.stop(before)
        assert nobody_answers(port)
        assert [process_of(p) for p in (answer["pid"], child)] == [None, None]


async def test_a_process_that_is_not_the_application_is_refused_and_left_alone(tmp_path: Path) -> None:
    made, pid = of_command(tmp_path, free_port()), tmp_path / "shop.pid"
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            pid.write_text(f"{other.pid}\n")
            os.utime(pid, (time.time() - 3600,) * 2)  # written long before that process began
            error = await refusal(made.look())
            assert error.code == "recipe_pid_foreign"
            assert f"process {other.pid}, `sleep`" in error.detail
            assert (await refusal(made.stop({"running": False}))).code == "recipe_pid_foreign"
            assert other.poll() is None
        finally:
            other.kill()


async def test_a_number_that_was_given_to_another_process_is_not_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old application ended by itself, and its number was used again, while the engine was away."""
    made, pid = of_command(tmp_path, free_port()), tmp_path / "shop.pid"
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            pid.write_text(f"{other.pid}\n")
            before = {**await made.look(), "mark": "another boot:1"}
            os.utime(pid, (time.time() - 3600,) * 2)
            await made.stop(before)
            assert other.poll() is None
            # Negative control: by the number alone, it would have been ended.
            real = process.mark_of
            monkeypatch.setattr(process, "mark_of", lambda number: real(number) and "the same")
            await made.stop({**before, "mark": "the same"})
            assert other.wait(5) == -signal.SIGTERM
        finally:
            other.kill()


async def test_another_process_in_the_pid_file_than_the_one_of_before(tmp_path: Path) -> None:
    made, pid = of_command(tmp_path, free_port()), tmp_path / "shop.pid"
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            pid.write_text(f"{other.pid}\n")
            os.utime(pid, (time.time() - 3600,) * 2)
            before = {"running": True, "pid": _ended_pid(), "mark": "another boot:1"}
            assert (await refusal(made.stop(before))).code == "recipe_pid_foreign"
            assert other.poll() is None
        finally:
            other.kill()


async def test_the_record_of_an_own_process_does_not_vouch_for_the_next_one_of_that_number(tmp_path: Path) -> None:
    made, pid = of_command(tmp_path, free_port()), tmp_path / "shop.pid"
    with subprocess.Popen(["sleep", "300"]) as other:
        try:
            record = pid_file.Record(pid=other.pid, mark="an earlier one", token="t", command="x", folder="/")
            pid_file.PidFile(pid).write(record)
            assert (await refusal(made.look())).code == "recipe_pid_foreign"
        finally:
            other.kill()


async def test_the_engine_and_what_started_it_are_never_the_application(tmp_path: Path) -> None:
    made = of_command(tmp_path, free_port())
    for number in (os.getpid(), os.getppid()):
        (tmp_path / "shop.pid").write_text(f"{number}\n")
        assert (await refusal(made.look())).code == "recipe_pid_foreign"


@pytest.mark.parametrize("text", ["shop", "0", "1", "-7", "4711x", "99999999999999"])
async def test_a_pid_file_without_a_number(tmp_path: Path, text: str) -> None:
    (tmp_path / "shop.pid").write_text(text)
    assert (await refusal(of_command(tmp_path, free_port()).look())).code == "recipe_pid_file"


async def test_a_pid_file_that_is_no_file_hangs_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shop.pid")
    assert (await refusal(of_command(tmp_path, free_port()).look())).code == "recipe_pid_file"


async def test_without_pid_file_and_stop_nobody_guesses(tmp_path: Path) -> None:
    assert (await refusal(recipe(tmp_path, kind="command", command="true").look())).code == "recipe_pid_file"


async def test_a_process_whose_command_line_is_lost_needs_an_undo(tmp_path: Path) -> None:
    pid = tmp_path / "shop.pid"
    line = ["gunicorn: master [shop]", "-c", "import time; time.sleep(300)"]
    with subprocess.Popen(line, executable=sys.executable) as titled:
        try:
            pid.write_text(f"{titled.pid}\n")
            assert (await refusal(of_command(tmp_path, free_port()).look())).code == "recipe_old_unknown"
            assert (await of_command(tmp_path, free_port(), undo="./old.sh").look())["running"]
        finally:
            titled.kill()


@contextlib.contextmanager
def needy_application(folder: Path) -> Iterator[None]:
    """An application that an operator started with a variable it can't do without."""
    needy = folder / "needy.sh"
    needy.write_text(
        '#!/bin/sh\n[ -n "$OLD_ONLY" ] || exit 5\necho "$OLD_ONLY $DATABASE_URL" >>runs\necho "key $OLD_ONLY"\nsleep 300\n'
    )
    needy.chmod(0o755)
    own = {**os.environ, "OLD_ONLY": CANARY, "SECRET_KEY": "k3y-of-old", "DATABASE_URL": "sqlite:///old.db"}
    with subprocess.Popen([needy], env=own, cwd=folder) as old, ended(folder / "shop.pid"):
        while not (folder / "runs").exists():
            time.sleep(0.01)
        (folder / "shop.pid").write_text(f"{old.pid}\n")
        try:
            yield
        finally:
            old.kill()


async def there_and_back(folder: Path) -> tuple[Recipe, Any]:
    made = recipe(
        folder, kind="command", command="exec sleep 300", pid_file=str(folder / "shop.pid"),
        env={"DATABASE_URL": "postgresql://new/shop"},
    )  # fmt: skip
    before = await forward(made)
    assert CANARY not in json.dumps(before)
    return made, before


async def test_the_old_application_gets_its_own_environment_back(tmp_path: Path) -> None:
    """Without it, it would not start; with the new application's `env`, it would write into the new database."""
    with needy_application(tmp_path):
        made, before = await there_and_back(tmp_path)
        await back(made, before)
        await until(lambda: _is((tmp_path / "runs").read_text().count("\n") == 2), 20, 0.01)
        assert (tmp_path / "runs").read_text() == f"{CANARY} sqlite:///old.db\n" * 2
        await made.stop(before)
        forget_old_processes(tmp_path / "keep")
        assert (await refusal(made.start(before))).code == "recipe_old_unknown"
        assert not [f for f in (tmp_path / "keep").rglob("notes.json") if CANARY in f.read_text()]
    kept = [f for f in (tmp_path / "keep").rglob("*") if f.is_file()]
    assert {stat.S_IMODE(f.stat().st_mode) for f in kept} == {0o600}


async def test_an_old_process_whose_environment_is_hidden_is_told_by_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control of the one before: this is what happens to an application that does not get its own variables."""
    with needy_application(tmp_path):
        made = recipe(
            tmp_path, kind="command", command="exec sleep 300", pid_file=str(tmp_path / "shop.pid"), env={"GIVEN": "x"}
        )
        before = await made.look()
        monkeypatch.setattr(old_process, "environment_of", lambda _process: None)
        before = {**(await made.look()), "variables": before["variables"]}
        await made.stop(before)
        await made.deploy(before)
        await made.start(before)
        error = await refusal(back(made, before))
        assert error.code == "recipe_start_failed"
        assert "did not get now: " in error.detail
        assert "OLD_ONLY" in error.detail
        assert "SHLVL" not in error.detail


async def test_a_log_does_not_show_secrets_of_the_environment(tmp_path: Path) -> None:
    pid = tmp_path / "shop.pid"
    made = recipe(
        tmp_path, kind="command", pid_file=str(pid), env={"SECRET_KEY": "k3y-of-new", "PORT": "8000"},
        command='echo "key $SECRET_KEY at $PORT"; exec sleep 300',
    )  # fmt: skip
    with ended(pid):
        before = await forward(made)
        assert await made.log_tail() == "key *** at 8000"
        await made.stop(before)


async def test_own_stop_and_undo_commands(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    old, _new = make_app(tmp_path / "old"), make_app(tmp_path / "app", version="2")
    stop = f"echo stop >> done; kill $(cat {pid})"
    again = f"echo undo >> done; {command_line(old, port).removeprefix('exec ')} --daemon {pid} >> old.log 2>&1"
    made = of_command(tmp_path, port, stop=stop, undo=again)
    with old_application(old, port, pid_file=pid), ended(pid):
        before = await forward(made)
        assert (await healthy(port))["version"] == "2"
        await back(made, before)
        assert (await healthy(port))["version"] == "1"
        await made.start(before)  # once more: it runs, so `undo` does not run again
        assert (tmp_path / "done").read_text().split() == ["stop", "stop", "undo"]


async def test_a_stop_command_that_stops_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "STOP_SECONDS", 0.2)
    port, pid = free_port(), tmp_path / "shop.pid"
    old = make_app(tmp_path / "old")
    with old_application(old, port, pid_file=pid) as theirs:
        made = of_command(tmp_path, port, stop="true")
        error = await refusal(made.stop(await made.look()))
        assert (error.code, str(theirs.pid) in error.detail) == ("recipe_not_stopped", True)
        failing = of_command(tmp_path, port, stop=f"echo no {CANARY}; exit 3")
        error = await refusal(failing.stop(await made.look()))
        assert error.code == "recipe_stop_failed"
        assert version(port) == "1"


async def test_an_application_that_makes_itself_a_daemon(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    app = make_app(tmp_path / "app")
    line = f"{command_line(app, port)} --daemon {pid}"
    made = recipe(tmp_path, kind="command", command=line, pid_file=str(pid))
    with ended(pid):
        before = await forward(made)
        assert (await healthy(port))["pid"] == pid_of(tmp_path)
        await made.start(before)
        standing = await made.standing()
        assert standing is not None
        assert standing.pid == pid_of(tmp_path)
        await made.stop(before)
        assert nobody_answers(port)


async def test_a_command_that_ends_at_once_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "DAEMON_SECONDS", 0.2)
    made = recipe(tmp_path, kind="command", command="true", pid_file=str(tmp_path / "shop.pid"))
    assert (await refusal(forward(made))).code == "recipe_start_failed"


async def test_somebody_elses_start_meanwhile_is_told_not_doubled(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    old, _new = make_app(tmp_path / "old"), make_app(tmp_path / "app", version="2")
    made = of_command(tmp_path, port)
    before = await made.look()
    await made.stop(before)
    await made.deploy(before)
    with old_application(old, port, pid_file=pid):
        assert (await refusal(made.start(before))).code == "recipe_still_running"
        assert version(port) == "1"


async def test_build_runs_forward_and_back_and_its_failure_shows_no_secret(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    make_app(tmp_path / "app")
    made = of_command(tmp_path, port, build="echo $TOKEN >> built", env={"TOKEN": CANARY})
    with ended(pid):
        before = await forward(made)
        await back(made, before)
    assert (tmp_path / "built").read_text().split() == [CANARY, CANARY]
    failing = of_command(tmp_path, port, build="echo token $TOKEN; exit 9", env={"TOKEN": CANARY})
    error = await refusal(failing.deploy(before))
    assert (error.code, error.detail) == ("recipe_build_failed", "token ***")


async def test_the_log_is_bounded_where_it_is_ours_and_told_from_the_newest_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, pid, log = free_port(), tmp_path / "shop.pid", tmp_path / "shop.pid.log"
    make_app(tmp_path / "app")
    log.write_text("of another start\n")
    made = of_command(tmp_path, port)
    with ended(pid):
        before = await forward(made)
        await healthy(port)
        assert (await made.log_tail()).splitlines() == [f"version 1 listens on port {port} with sqlite"]
        assert log.read_text().startswith("of another start")
        await made.stop(before)
        monkeypatch.setattr(command, "LOG_BYTES", 10)
        await made.start(before)
        await healthy(port)
        assert (tmp_path / "shop.pid.log.1").read_text().startswith("of another start")
        assert len(log.read_text().splitlines()) == 1


async def test_what_is_shown_and_recorded_has_no_secrets(tmp_path: Path) -> None:
    pid = tmp_path / "shop.pid"
    made = of_command(tmp_path, free_port(), stop=f"./stop {CANARY}", build=f"make T={CANARY}", env={"TOKEN": CANARY})
    assert [p.action for p in made.planned()] == ["stop", "build", "start", "undo"]
    assert CANARY not in str(made.planned())
    with subprocess.Popen(["sleep", "300", "301"], env={**os.environ, "TOKEN": CANARY}) as old:
        try:
            pid.write_text(f"{old.pid}")
            before = await of_command(tmp_path, free_port()).look()
            assert "TOKEN" in before["variables"]
            assert CANARY not in json.dumps(before)
            assert shlex.split(before["command"])[1:] == [shlex.split(before["command"])[1], "300", "301"]
        finally:
            old.kill()
    kept = [f for f in (tmp_path / "keep").rglob("*") if f.is_file()]
    assert kept
    assert {stat.S_IMODE(f.stat().st_mode) for f in kept} == {0o600}
    assert {stat.S_IMODE(f.parent.stat().st_mode) for f in kept} == {0o700}


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("DB_PASSWORD=hunter22 PORT=1 ./run", "DB_PASSWORD=*** PORT=1 ./run"),
        ("./run --port 1 --api-token hunter22 -v", "./run --port 1 --api-token *** -v"),
        ("./run --db-password='hunter22 x' --quiet", "./run --db-password=*** --quiet"),
        ('API_KEY="hunter22"; ./run mysecret x', "API_KEY=***; ./run mysecret x"),
    ],
)
async def test_secrets_written_into_a_command_are_not_shown(tmp_path: Path, line: str, shown: str) -> None:
    made = of_command(tmp_path, free_port(), build=line)
    [text] = [p.text for p in made.planned() if p.action == "build"]
    assert text == shown


async def test_the_application_gets_few_variables_of_the_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", CANARY)
    pid = tmp_path / "shop.pid"
    made = recipe(tmp_path, kind="command", command="exec sleep 300", pid_file=str(pid), env={"PORT": "8000"})
    with ended(pid):
        before = await forward(made)
        names = await made.variables()
        assert {"PATH", "PORT"} <= set(names)
        assert "DATABASE_URL" not in names
        assert not any(name.startswith("STEPFLOW_") for name in names)
        await made.stop(before)


async def test_the_engines_own_umask_is_not_the_applications(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What StepFlow writes is for its user alone; a web server must be able to read what the application writes."""
    monkeypatch.setattr(streams, "_UMASK", [])
    pid, line = tmp_path / "shop.pid", "umask > umask; touch upload; exec sleep 300"
    theirs = os.umask(0o002)
    try:
        old = subprocess.Popen(["sh", "-c", "umask 0027; exec sleep 300"])
        streams.keep_private()
        assert os.umask(0o077) == 0o077
        made = recipe(tmp_path, kind="command", command=line, pid_file=str(pid), build="touch built")
        with ended(pid), contextlib.closing(_killed(old)):
            await until(lambda: _is(psutil.Process(old.pid).name() == "sleep"), 20, 0.01)
            pid.write_text(f"{old.pid}\n")
            os.utime(pid)
            before = await forward(made)
            assert (tmp_path / "umask").read_text() == "0002\n"
            assert stat.S_IMODE((tmp_path / "upload").stat().st_mode) == 0o664
            assert stat.S_IMODE((tmp_path / "built").stat().st_mode) == 0o664
            assert stat.S_IMODE((tmp_path / "shop.pid.log").stat().st_mode) == 0o600
            await back(made, before)
            status = Path(f"/proc/{pid_of(tmp_path)}/status").read_text()
            assert "Umask:\t0027" in status, "the old one has the one it had"
            await made.stop(before)
    finally:
        os.umask(theirs)


@pytest.mark.parametrize("words", [{"folder": "missing"}, {"log": "missing/shop.log"}])
async def test_a_folder_that_is_not_there(tmp_path: Path, words: dict[str, str]) -> None:
    paths = {key: str(tmp_path / value) for key, value in words.items()}
    made = recipe(tmp_path, kind="command", command="true", pid_file=str(tmp_path / "shop.pid"), **paths)
    error = await refusal(forward(made))
    assert error.code == "recipe_start_failed"
    assert "missing" in error.detail


async def test_it_outlives_the_engine(tmp_path: Path) -> None:
    """The engine that started it is killed with its whole session; the application goes on, and is found."""
    port, pid = free_port(), tmp_path / "shop.pid"
    make_app(tmp_path / "app")
    script = (
        "import asyncio, sys, time; from pathlib import Path\n"
        "from tests.recipe_kit import recipe, forward\n"
        f"made = recipe(Path({str(tmp_path)!r}), kind='command', command={command_line(tmp_path / 'app', port)!r}, pid_file={str(pid)!r})\n"
        "asyncio.run(forward(made)); print('up', flush=True); time.sleep(300)\n"
    )
    root = Path(__file__).parents[2]
    with (
        ended(pid),
        subprocess.Popen(
            [sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, start_new_session=True, text=True
        ) as engine,
    ):
        assert engine.stdout is not None
        assert engine.stdout.readline() == "up\n"
        os.killpg(engine.pid, signal.SIGKILL)
        engine.wait()
        assert (await healthy(port))["version"] == "1"
        assert call(port, "/orders", "POST", {"note": "after"})[0] == 201, "its output still goes somewhere"
        made = of_command(tmp_path, port)
        before = await made.look()
        assert before["pid"] == pid_of(tmp_path)
        await made.stop(before)
        assert nobody_answers(port)


class _killed:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


async def _is(fact: bool) -> bool:
    return fact


def _ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


async def test_a_port_is_no_secret_and_a_pin_is_one(tmp_path: Path) -> None:
    made = of_command(
        tmp_path, free_port(), build="curl http://127.0.0.1:8977/ --with 4711", env={"PORT": "8977", "PIN": "4711"}
    )
    assert next(p.text for p in made.planned() if p.action == "build") == "curl http://127.0.0.1:8977/ --with ***"


async def test_after_the_way_back_nothing_stands_beside_the_pid_file_that_did_not_before(tmp_path: Path) -> None:
    port, pid = free_port(), tmp_path / "shop.pid"
    beside = tmp_path / "shop.pid.stepflow"
    old, _new = make_app(tmp_path / "old"), make_app(tmp_path / "app", version="2")
    with old_application(old, port, pid_file=pid), ended(pid):
        made = of_command(tmp_path, port)
        before = await forward(made)
        await back(made, before)
        answer = await healthy(port)
        assert beside.exists(), "the control: the recipe alone leaves it"
        forget_records(tmp_path / "keep")
        assert not beside.exists()
        assert pid_of(tmp_path) == answer["pid"]
        again = of_command(
            tmp_path, port
        )  # another try: the process is known by its number, and started again as it was
        before = await forward(again)
        assert (await healthy(port))["version"] == "2"
        await back(again, before)
        answer = await healthy(port)
        assert (answer["version"], answer["cwd"]) == ("1", str(old))


async def test_a_record_that_was_there_before_stays(tmp_path: Path) -> None:
    port, beside = free_port(), tmp_path / "shop.pid.stepflow"
    make_app(tmp_path / "app")
    with ended(tmp_path / "shop.pid"):
        await forward(of_command(tmp_path, port))
        await healthy(port)
        forget_records(tmp_path / "keep")  # as if the run before were over, with its own folder
        made = of_command(tmp_path, port)
        pid_file.PidFile(tmp_path / "shop.pid").write(
            pid_file.Record(
                pid=pid_of(tmp_path), mark=process_of(pid_of(tmp_path)).mark, token="", command="exec true", folder="/"
            )  # type: ignore[union-attr]
        )
        await made.look()
        forget_records(tmp_path / "keep")
        assert beside.exists()


async def test_a_number_of_ours_that_ended_goes_with_its_record(tmp_path: Path) -> None:
    pid = tmp_path / "shop.pid"
    made = recipe(tmp_path, kind="command", command="exec sleep 300", pid_file=str(pid))
    with ended(pid):
        await forward(made)
        os.kill(pid_of(tmp_path), signal.SIGKILL)
        assert await until(lambda: _has_ended(pid), 5)
        forget_records(tmp_path / "keep")
        assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith("shop.pid")) == ["shop.pid.log"]


async def _has_ended(pid: Path) -> bool:
    return process_of(int(pid.read_text())) is None
