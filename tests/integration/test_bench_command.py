"""`stepflow benchmark`: on a file that an application is using, refused in time, and nothing left after Ctrl-C."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.sqlite.sample import make_shop
from tests.integration.test_bench_modes import until

ROOT = Path(__file__).parents[2]
CONFIG = """
name: shop
kind: sqlite-wal
source:
  path: {path}
benchmark:
  writers: 1
  readers: 1
  batch: 10
  max_bytes: {most}
  limits:
    clients: 2
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Path]:
    """An application has it open, in WAL mode, with changes that stand only in `-wal`."""
    path = tmp_path / "shop.db"
    make_shop(path, 1_000, wal=True)
    with closing(sqlite3.connect(path)) as application:
        application.execute("insert into measurements(id, sensor) values (900001, 'only in the log')")
        application.commit()
        yield path


def command(tmp_path: Path, path: Path, *options: str, most: str = "1GiB") -> list[str]:
    config = tmp_path / "stepflow.yaml"
    config.write_text(CONFIG.format(path=path, most=most))
    return [
        sys.executable,
        "-m",
        "stepflow_tui",
        "benchmark",
        str(config),
        "--state-dir",
        str(tmp_path / "state"),
        *options,
    ]


def call(tmp_path: Path, path: Path, *options: str, most: str = "1GiB") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tmp_path, path, *options, most=most), capture_output=True, text=True, check=False, cwd=ROOT, timeout=120
    )


def left(tmp_path: Path) -> list[str]:
    folder = tmp_path / "state" / "benchmarks"
    return [p.name for p in folder.iterdir()] if folder.exists() else []


def digests(path: Path) -> list[str]:
    return [hashlib.sha256(Path(f"{path}{side}").read_bytes()).hexdigest() for side in ("", "-wal")]


def test_a_living_database_is_measured_and_left_as_it_is(shop: Path, tmp_path: Path) -> None:
    before = digests(shop)
    done = call(tmp_path, shop, "--rounds", "3", "--seconds", "0.05", "--json", "--out", str(tmp_path / "result.json"))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found["sides"] == ["rollback", "wal", "wal_settings"]
    assert found["settings"]["wal_settings"]["synchronous"] == "NORMAL"
    assert found["source"] == str(shop)
    assert json.loads((tmp_path / "result.json").read_text()) == found
    assert (tmp_path / "result.json").stat().st_mode & 0o777 == 0o600
    assert digests(shop) == before
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "code", "exit_code"),
    [
        (("--rounds", "2"), "benchmark_rounds", 2),
        (("--seconds", "0"), "benchmark_seconds", 2),
        (("--out", "/nowhere/result.json"), "export_unwritable", 2),
    ],
)
def test_what_cannot_be_done_is_said_at_once(
    shop: Path, tmp_path: Path, options: tuple[str, ...], code: str, exit_code: int
) -> None:
    done = call(tmp_path, shop, "--json", *options)
    assert done.returncode == exit_code
    assert code in done.stdout + done.stderr
    assert left(tmp_path) == []


def test_a_larger_database_than_allowed_is_refused(shop: Path, tmp_path: Path) -> None:
    done = call(tmp_path, shop, most="4KiB")
    assert done.returncode == 4
    assert "larger than a benchmark copies" in done.stderr
    assert left(tmp_path) == []


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_clients_and_removes_the_copies(
    shop: Path, tmp_path: Path, number: int, exit_code: int
) -> None:
    with subprocess.Popen(
        command(tmp_path, shop, "--seconds", "2"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        start_new_session=True,
    ) as process:  # fmt: skip
        folder = tmp_path / "state" / "benchmarks"
        assert until(lambda: any(folder.glob("bench-*/wal_settings.db")))
        assert until(lambda: any(folder.glob("bench-*/*-journal")))
        own = psutil.Process(process.pid).children(recursive=True)
        assert own
        os.killpg(process.pid, number)
        _out, err = process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert b"Traceback" not in err
    _gone, alive = psutil.wait_procs(own, timeout=20)
    assert alive == []
    assert left(tmp_path) == []
