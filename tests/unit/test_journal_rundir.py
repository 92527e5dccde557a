"""The state directory: where it is, what it refuses, ids, which run is meant, who the operator is."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from stepflow_tui.engine.errors import Refused, UsageError
from stepflow_tui.engine.journal import rundir
from stepflow_tui.engine.journal.rundir import StateDir, operator
from stepflow_tui.engine.model.state import RunState
from stepflow_tui.engine.sqlite.mounts import FileSystem

NOW = 1_700_000_000_000


def test_default_place() -> None:
    assert StateDir.default_path({"XDG_STATE_HOME": "/x", "HOME": "/h"}) == Path("/x/stepflow")
    assert StateDir.default_path({"XDG_STATE_HOME": "relative", "HOME": "/h"}) == Path("/h/.local/state/stepflow")


def test_it_is_private(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "a" / "state", {})
    run = state.new_run("shop", NOW)
    for path in (state.path, state.runs_path, run):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def test_a_folder_that_was_there_keeps_its_mode_unless_anybody_may_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    StateDir.open(tmp_path, {})
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    tmp_path.chmod(0o777)
    with pytest.raises(Refused) as caught:
        StateDir.open(tmp_path, {})
    assert caught.value.code == "state_dir_owner"


def test_network_file_systems_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rundir, "filesystem_of", lambda _: FileSystem(kind="nfs4", mount_point="/"))
    with pytest.raises(Refused) as caught:
        StateDir.open(tmp_path / "s", {})
    assert "--state-dir" in caught.value.hint
    assert not (tmp_path / "s").exists()


def test_a_place_that_can_not_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refused) as caught:
        StateDir.open(tmp_path / "file" / "state", {})
    assert caught.value.code == "state_dir"


def test_run_ids(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "s", {})
    ids = {state.new_run("my.shop-2", NOW).name for _ in range(5)}
    assert len(ids) == 5
    assert all(i.startswith("my.shop-2-20231114T221320-") for i in ids)
    (state.runs_path / "not-a-run").mkdir()
    assert [r.name for r in state.runs(lambda _: None)] == ["my.shop-2"] * 5


def test_which_run_is_meant(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "s", {})
    old, new = state.new_run("shop", NOW), state.new_run("shop", NOW + 5000)
    other = state.new_run("other", NOW)
    states = {old.name: RunState.FAILED, new.name: RunState.COMPLETED, other.name: RunState.COMPLETED}

    def state_of(path: Path) -> RunState | None:
        return states[path.name]

    assert state.resolve(None, state_of).path == old  # the only unfinished one
    assert state.resolve("shop", state_of).path == old  # the unfinished one of that name
    assert state.resolve("other", state_of).path == other  # else the newest
    assert state.resolve(new.name, state_of).path == new
    assert state.resolve("ot", state_of).path == other
    with pytest.raises(UsageError) as several:
        state.resolve("sh", state_of)
    assert old.name in several.value.detail
    with pytest.raises(UsageError):
        state.resolve("nothing", state_of)
    states[old.name] = RunState.COMPLETED
    assert state.resolve("shop", state_of).path == new
    with pytest.raises(UsageError):
        state.resolve(None, state_of)
    states |= {old.name: RunState.WAITING, new.name: RunState.WAITING}
    with pytest.raises(UsageError) as both:
        state.resolve(None, state_of)
    assert old.name in both.value.detail
    assert new.name in both.value.detail


def test_a_state_directory_that_is_not_there_has_no_runs(tmp_path: Path) -> None:
    state = StateDir.open(tmp_path / "s", {}, create=False)
    assert state.runs(lambda _: None) == []
    assert not state.path.exists()


def test_the_operator() -> None:
    assert operator({"SUDO_USER": "ann", "SSH_CONNECTION": "192.0.2.7 5 10.0.0.1 22"}) == "ann from 192.0.2.7"
    assert operator({"SUDO_USER": "ann"}) == "ann"
    assert operator({})
    assert os.environ.get("SUDO_USER", "") in ("", operator(os.environ).split(" ")[0])
