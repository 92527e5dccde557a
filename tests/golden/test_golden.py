"""The same journal gives the same bytes, in `--plain` and in `--json`, whatever the machine and its settings.

After a change of texts that is meant: `STEPFLOW_GOLDEN=write pytest tests/golden`, and read the difference.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.golden.fixed import RUN, make

FILES = Path(__file__).with_name("files")
ROOT = Path(__file__).parents[2]

COMMANDS = {
    "attach": (("attach", RUN), 5),
    "attach-no-follow": (("attach", RUN, "--no-follow"), 0),
    "status": (("status", "shop"), 0),
    "runs": (("runs",), 0),
    "report": (("report", RUN), 0),
    "alerts": (("alerts", "list", RUN), 0),
    "alerts-stats": (("alerts", "stats", RUN), 0),
    "audit": (("audit", "show", RUN), 0),
    "keys": (("keys",), 0),
    "no-such-run": (("status", "nobody"), 2),
}


def call(state: Path, *args: str, **env: str) -> tuple[int, bytes]:
    """One command; its stdout with the state directory's path named `STATE`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "LANG", "STEPFLOW", "TERM", "NO_COLOR"))}
    kept |= {"PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm-256color"} | env
    done = subprocess.run(
        [sys.executable, "-m", "stepflow_tui", *args, "--state-dir", str(state)],
        env=kept, cwd=state, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.replace(os.fsencode(state), b"STATE")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import asyncio

    folder = tmp_path_factory.mktemp("golden") / "state"
    asyncio.run(make(folder))
    return folder


@pytest.mark.parametrize("form", ["plain", "json"])
@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_journal_gives_the_same_bytes(state: Path, name: str, form: str) -> None:
    args, code = COMMANDS[name]
    returned, printed = call(state, *args, f"--{form}")
    assert returned == code
    assert not set(printed) & {0x1B, 0x9B, 0x07}, "an escape reached the terminal"
    file = FILES / f"{name}.{form}.txt"
    if os.environ.get("STEPFLOW_GOLDEN") == "write":
        file.write_bytes(printed)
    assert printed.decode() == file.read_text(encoding="utf-8")
    assert printed == file.read_bytes()


@pytest.mark.parametrize("name", ["attach", "status", "report", "alerts", "keys"])
def test_json_is_the_same_in_every_language_and_time_zone(state: Path, name: str) -> None:
    args, _code = COMMANDS[name]
    elsewhere = call(state, *args, "--json", LC_ALL="zh_CN.UTF-8", LANGUAGE="zh", TZ="Asia/Shanghai")
    assert elsewhere[1] == (FILES / f"{name}.json.txt").read_bytes()
    assert call(state, *args, "--json", "--lang", "zh", "--plain")[1] == elsewhere[1]


@pytest.mark.parametrize("env", [{"ACCESSIBLE": "1"}, {"TERM": "dumb"}])
def test_what_asks_for_plain_lines_gets_the_same_as_the_option(state: Path, env: dict[str, str]) -> None:
    assert call(state, "status", RUN, **env)[1] == (FILES / "status.plain.txt").read_bytes()
