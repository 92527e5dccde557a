"""`kill -9` at every place of changing settings and of putting them back: an undo finds every byte of before."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stepflow_tui.engine.application.settings import apply_group, standing, undo_group

BEFORE = {
    ".env": b"# shop\r\nDATABASE_URL=sqlite:///shop.db # file\r\n",
    "shop.yaml": b"database:\n  kind: sqlite\n",
    "flags.py": b"USE_DATABASE = False",
}
APPLY = ("settings_keeping", "settings_kept", "settings_write", "settings_made", "settings_written")
UNDO = ("settings_made", "settings_undo_written", "settings_undone", "settings_dropping")
IN_PLACE = "settings_in_place"
AREA = Path(__file__).parents[2] / "stepflow_tui/engine/application"

Run = Callable[[str, str], str]


def test_every_failpoint_is_used() -> None:
    sources = [f.read_text() for f in AREA.glob("settings*.py")]
    found = {name for text in sources for name in re.findall(r'failpoint\("(\w+)"\)', text)}
    assert found == {*APPLY, *UNDO, IN_PLACE}


@contextmanager
def _process(folder: Path) -> Iterator[Run]:
    command = [sys.executable, "-m", "tests.faults.settings_engine", str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, told = process.stdin, process.stdout

        def run(what: str, point: str) -> str:
            asked.write(f"{what} {point}\n")
            asked.flush()
            return told.readline().strip()

        yield run
        asked.close()


def _fresh(folder: Path) -> None:
    for name, data in BEFORE.items():
        (folder / name).write_bytes(data)


def _now(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in BEFORE}


def _all(folder: Path) -> set[str]:
    return {f.name for f in folder.iterdir()}


def _passes(run: Run, folder: Path, what: str, point: str, between: Callable[[], None]) -> int:
    """Kill at the first, second … pass until none is left; after each, `between`."""
    for number in range(1, 20):
        _fresh(folder)
        if what != "apply":
            assert run("apply", "none:1") == "ended 0"
        ended = run(what, f"{point}:{number}")
        if ended != "killed":
            assert ended == "ended 0"
            undo_group(folder / "keep")
            return number - 1
        between()
    raise AssertionError("it never ends")


@pytest.mark.parametrize("what", ["apply", "undo"])
def test_an_undo_restores_every_byte_wherever_it_died(tmp_path: Path, what: str) -> None:
    def back() -> None:
        undo_group(tmp_path / "keep")
        assert _now(tmp_path) == BEFORE
        assert _all(tmp_path) <= {*BEFORE, "keep"}, "nothing is left beside the files"
        assert not standing(tmp_path / "keep")

    with _process(tmp_path) as run:
        counts = {point: _passes(run, tmp_path, what, point, back) for point in (APPLY if what == "apply" else UNDO)}
    assert counts == (
        {"settings_keeping": 1, "settings_kept": 1, "settings_write": 3, "settings_made": 3, "settings_written": 3}
        if what == "apply"
        else {"settings_made": 3, "settings_undo_written": 3, "settings_undone": 1, "settings_dropping": 1}
    )


def test_what_was_begun_can_be_finished_wherever_it_died(tmp_path: Path) -> None:
    with _process(tmp_path) as run:
        _fresh(tmp_path)
        assert run("apply", "none:1") == "ended 0"
        after = _now(tmp_path)
        undo_group(tmp_path / "keep")

        def on() -> None:
            if standing(tmp_path / "keep"):  # killed before: nothing was begun
                apply_group((), tmp_path / "keep")
                assert _now(tmp_path) == after
                assert _all(tmp_path) == {*BEFORE, "keep"}
                undo_group(tmp_path / "keep")
            assert _now(tmp_path) == BEFORE

        assert sum(_passes(run, tmp_path, "apply", point, on) for point in APPLY) == 11


def test_a_file_torn_in_place_is_put_back(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside.env"
    inside.mkdir()
    outside.write_bytes(BEFORE[".env"])
    _fresh(inside)
    mounted = ["mount", "--bind", str(outside), str(inside / ".env")]
    if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
        pytest.skip("this machine lets no test mount a file")
    try:
        with _process(inside) as run:
            assert run("apply", f"{IN_PLACE}:1") == "killed"
            torn = outside.read_bytes()
            assert torn not in (BEFORE[".env"], b""), "half of the new stands over the old"
            assert run("finish", "none:1") == "ended 0"
            assert run("undo", f"{IN_PLACE}:1") == "killed"
            undo_group(inside / "keep")
        assert _now(inside) == BEFORE
    finally:
        subprocess.run(["umount", str(inside / ".env")], check=True)


def test_without_what_was_kept_a_killed_change_can_not_be_undone(tmp_path: Path) -> None:
    """The negative control: files rewritten in place, nothing kept."""
    _fresh(tmp_path)
    with _process(tmp_path) as run:
        assert run("bare", f"{IN_PLACE}:2") == "killed"
    assert undo_group(tmp_path / "keep") == ()
    now = _now(tmp_path)
    assert now[".env"] != BEFORE[".env"], "the first file is on the new side"
    assert now["shop.yaml"] != BEFORE["shop.yaml"], "the second one is half written"
    assert now["flags.py"] == BEFORE["flags.py"], "the third one is on the old side"
