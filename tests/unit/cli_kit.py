"""A facade in memory for tests of the command line, and a way to call it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.facade import compose, env_example, pragmas
from stepflow_tui.engine.facade.find_configs import find_configs
from stepflow_tui.engine.model.finding import Finding, warning

RUN = "shop-20260101t000000-abcd"


@dataclass
class Sign:
    alive: bool = False


@dataclass
class FakeReader:
    """A journal as a list of rows; `script` gives, look by look, whether the engine lives and what is new."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    script: list[tuple[bool, list[dict[str, Any]]]] = field(default_factory=list)
    bars: list[dict[str, Any]] = field(default_factory=list)
    state: dict[str, Any] = field(default_factory=dict)
    looks: int = 0

    def __enter__(self) -> FakeReader:
        return self

    def __exit__(self, *exc: object) -> None: ...

    def engine(self) -> Sign:
        alive, new = self.script.pop(0) if self.script else (False, [])
        self.rows += new
        self.looks += 1
        return Sign(alive)

    def data_version(self) -> int:
        return len(self.rows)

    def events(self, after: int, limit: int = 500) -> list[dict[str, Any]]:
        return [r for r in self.rows if r["seq"] > after][:limit]

    def progress(self) -> list[dict[str, Any]]:
        return self.bars

    def max_seq(self) -> int:
        return self.rows[-1]["seq"] if self.rows else 0

    def status(self) -> dict[str, Any]:
        return self.state

    def run(self) -> dict[str, Any]:
        return {"state": self.state.get("state")}

    def history(self, *, limit: int = 500, codes: Sequence[str] = (), **more: Any) -> list[dict[str, Any]]:
        return [r for r in self.rows if r["code"] in codes][-limit:]


def row(seq: int, code: str, **data: Any) -> dict[str, Any]:
    """A journal row as `RunReader.events` gives it."""
    return {"seq": seq, "at_ms": 1_767_225_600_000 + seq, "level": 20, "step": None, "code": code, "data": data}


def started(seq: int = 1) -> dict[str, Any]:
    return row(
        seq, "run_started", name="shop", kind="sqlite-to-postgres", mode="copy", environment="staging", resumed=False
    )


def finished(seq: int, result: str = "completed", exit_code: int = 0) -> dict[str, Any]:
    return row(seq, "run_finished", result=result, exit_code=exit_code, report="/r/report.json")


STATUS: dict[str, Any] = {
    "run": RUN,
    "name": "shop",
    "kind": "sqlite-to-postgres",
    "environment": "staging",
    "state": "running",
    "phase": "backfill",
    "step": "copy",
    "engine": {"pid": 7, "alive": True, "heartbeat_seconds": 0.4},
    "control": {"holder": "ann at pts/3", "seconds_left": 42, "asked_by": "bob"},
    "phases": [
        {
            "name": "backfill",
            "state": "running",
            "steps": [{"name": "copy", "title": "Copy the rows", "state": "running", "seconds": 3.0, "progress": None}],
        }
    ],
    "progress": {
        "done": 50,
        "total": 100,
        "unit": "rows",
        "rate_per_second": 10.0,
        "eta_seconds": 5.0,
        "eta_state": "ready",
        "throttle": "",
    },
    "tables": [
        {"source": "a\x1b[2J", "target": "public.a", "source_rows": 3, "target_rows": 2, "diff": -1, "state": "copying"}
    ],
    "alerts": [
        {
            "code": "throttled",
            "severity": "warning",
            "since": "2026-01-01T00:00:00.000Z",
            "acknowledged": False,
            "params": {},
        }
    ],
    "gate": None,
    "observers": 1,
    "rollback": {"possible": True, "loses": ["the copied rows"]},
}


@dataclass
class Info:
    id: str = RUN
    path: Path = Path("/nowhere")


@dataclass
class Begun:
    run: Info = field(default_factory=Info)
    how: str = "started"
    after: int = 0
    exit_code: int | None = None
    ends: int | None = None


@dataclass
class Found:
    findings: Sequence[Finding] = ()
    exit_code: int = 0
    plan: Any = None


def monitor_look(**more: Any) -> dict[str, Any]:
    """A monitor's look at which all is well."""
    database = {"file": "/d/shop.db", "mode": "wal", "bytes": 4096, "wal_bytes": 0, "shm_bytes": 32768}
    return {
        "event": "look",
        "time": "2026-01-31T12:00:00.000Z",
        "database": database | {"frames": 0, "checkpointed": 0, "pinned_by": []},
        "tables": {"rows": {"t": 1}, "fresh": True, "at": None, "why": ""},
        "health": [],
        "logs": [],
        "processes": {"known": True, "complete": True, "found": []},
        "disk": {"folder": "/d", "free": 1 << 40, "total": 1 << 41},
        "target": None,
        "alerts": [],
        "exit_code": 0,
        **more,
    }


@dataclass
class FakeEngine:
    """Every name of the facade; calls are written down."""

    reader: FakeReader = field(default_factory=FakeReader)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    found: Found = field(default_factory=Found)
    fails: Exception | None = None
    application: Mapping[str, Any] = field(default_factory=lambda: {"configured": False, "exit_code": 0})
    health: Sequence[Mapping[str, Any]] = ()
    problems: Sequence[Mapping[str, Any]] = ()
    looks: Sequence[Mapping[str, Any]] = field(default_factory=lambda: [monitor_look()])

    load_config = staticmethod(load_config)
    config_text = staticmethod(compose.config_text)
    save_config = staticmethod(compose.save_config)
    save_env_example = staticmethod(env_example.save_env_example)
    free_path = staticmethod(compose.free_path)
    find_configs = staticmethod(find_configs)
    pragmas = staticmethod(pragmas.pragmas)

    def RunReader(self, run_dir: Path) -> FakeReader:
        return self.reader

    @contextlib.contextmanager
    def watching(self, run_dir: Path) -> Iterator[None]:
        yield

    def sender(self, front: str = "") -> str:
        return "ann"

    def list_runs(self, state: Path) -> list[dict[str, Any]]:
        self._note("list_runs", state)
        return [
            {
                "id": RUN,
                "kind": "sqlite-to-postgres",
                "environment": "staging",
                "state": "running",
                "phase": "backfill",
                "result": None,
                "engine_alive": True,
            }
        ]

    def resolve_run(self, state: Path, run: str | None) -> Info:
        self._note("resolve_run", (state, run))
        if run == "nothing":
            raise UsageError("No run 'nothing'.", code="no_such_run")
        return Info()

    async def check(self, loaded: Any, *, state: Path, create_target: str | None = None) -> Found:
        self._note("check", create_target)
        return self.found

    async def plan(self, loaded: Any, *, state: Path) -> Found:
        self._note("plan", loaded.config.name)
        return self.found

    async def application_plan(self, loaded: Any, *, look: bool = False) -> Mapping[str, Any]:
        return self.application

    async def application_health(self, loaded: Any) -> Sequence[Mapping[str, Any]]:
        return self.health

    async def start(self, loaded: Any, **options: Any) -> Begun:
        self._note("start", options)
        return Begun()

    async def reveal(self, run: Any, table: str, key: Mapping[str, Any], column: str, **given: Any) -> dict[str, Any]:
        self.calls.append(("reveal", (table, dict(key), column, given["confirm"])))
        return {"source": "a@b.c", "target": None, "source_file": "/r/shop.db", "problem": ""}

    async def send(
        self,
        run: Info,
        verb: str,
        args: Mapping[str, Any],
        *,
        state: Path,
        take_control: bool = False,
        front: str = "",
    ) -> Mapping[str, Any]:
        self._note(verb, dict(args))
        return {"state": "done", "answer": {}, "after": 0}

    async def verify(self, loaded: Any, **options: Any) -> Mapping[str, Any]:
        self._note("verify", options)
        return {"exit_code": 5, "tables": [{"source": "a", "target": "public.a", "verified": "different", "reason": ""}],
                "discrepancies": [{"table": "a", "key": {"id": 1}, "column": "x", "class": "changed", "cause": "c", "repair_sql": "update"}]}  # fmt: skip

    async def benchmark(self, loaded: Any, **options: Any) -> Mapping[str, Any]:
        self._note("benchmark", options)
        return {"compared": "modes", "better": None}

    def report(self, run: Info) -> Mapping[str, Any]:
        self._note("report", run.id)
        return {"run": run.id, "result": "completed"}

    def report_text(self, run: Info, kind: str) -> str:
        return f"# Report {kind}\x1b[31m\n"

    def backups(self, state: Path, run: Info | None) -> list[dict[str, Any]]:
        return [
            {
                "set": RUN,
                "run": RUN,
                "kind": "run",
                "archive": None,
                "archive_bytes": None,
                "files": None,
                "path": "/b/x.db",
                "bytes": 2048,
                "sha256": "ab",
                "verified": True,
                "made_at": "2026-01-01T00:00:00.000Z",
            }
        ]

    async def verify_backup(self, path: Path) -> Mapping[str, Any]:
        return {"path": str(path), "sha256": "ab", "verified": False, "reason": "the bytes differ"}

    async def restore_backup(self, path: Path, to: Path) -> Mapping[str, Any]:
        self._note("restore", (path, to))
        return {"target": str(to), "aside": ["x.old"], "sha256": "ab"}

    def alerts(self, run: Info) -> list[dict[str, Any]]:
        return [
            {
                "code": "throttled",
                "severity": "warning",
                "since": "t",
                "count": 3,
                "cleared": True,
                "acknowledged": None,
                "params": {},
                "note": "",
            },
            {
                "code": "disk_low",
                "severity": "critical",
                "since": "t",
                "count": 1,
                "cleared": False,
                "acknowledged": "ann",
                "params": {},
                "note": "",
            },
        ]

    def audit(self, run: Info) -> list[dict[str, Any]]:
        return [{"n": 1, "at_ms": 0, "who": "ann", "host": "h", "act": "started", "data": "{}"}]

    def verify_audit(self, state: Path, run: Info) -> Mapping[str, Any]:
        return {"state": "edited", "at": 1, "entries": 1, "head": "ff"}

    async def monitor(self, loaded: Any, state: Path, **options: Any) -> AsyncGenerator[Mapping[str, Any], None]:
        self._note("monitor", options)
        if self.fails:
            raise self.fails
        for look in self.looks:
            yield look

    def monitor_unit(self, loaded: Any, state: Path, every: str | None = None) -> Mapping[str, Any]:
        self._note("monitor_unit", every)
        return {"file": "/etc/x.service", "service": "[Unit]\n", "variables": ["A"], "enable": "systemctl enable x"}

    async def optimize(self, loaded: Any, state: Path) -> Mapping[str, Any]:
        self._note("optimize", loaded.config.name)
        return {"path": "/x", "analyzed": ["a"], "left_out": [], "limit": 0, "optimized": True, "statistics": 1, "seconds": 0.1,
                "checkpoint": None, "holders": [], "holders_known": True, "exit_code": 0}  # fmt: skip

    async def doctor(self, state: Path, loaded: Any = None) -> Mapping[str, Any]:
        self._note("doctor", state)
        if self.fails:
            raise self.fails
        checks = [{"name": "python", "state": "ok", "found": "3.11", "fix": ""}]
        return {"checks": checks, "looked": [], "problems": self.problems, "runs": []}

    def bundle_place(self, file: Path) -> None:
        self._note("bundle_place", file)

    async def support_bundle(self, state: Path, file: Path, found: Any, loaded: Any = None) -> Mapping[str, Any]:
        self._note("support_bundle", file)
        return {"file": str(file), "bytes": 10, "sha256": "ff", "members": [], "run": None}

    async def embedded(self, state: Path, action: str) -> Mapping[str, Any]:
        self._note("embedded", action)
        return {"running": action != "stop", "folder": "/f", "dsn": "postgresql:///x"}

    async def make_demo(self, state: Path, kind: str, rows: int) -> Path:
        self._note("make_demo", rows)
        folder = state / "demo"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "stepflow.yaml"
        file.write_text(
            "version: 1\nname: demo\nkind: sqlite-to-postgres\nsource: {path: x}\ntarget: {embedded: true}\n"
        )
        return file

    async def end_demo(self, state: Path, config: Path) -> None:
        self._note("end_demo", config)

    async def keep_demo(self, state: Path, config: Path) -> None:
        self._note("keep_demo", config)

    def _note(self, name: str, what: Any) -> None:
        self.calls.append((name, what))


A_WARNING = warning("fk_violations", "orders", rows=3)
CONFIG = "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: x}\ntarget: {embedded: true}\n"
