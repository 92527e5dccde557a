"""What front ends ask of the engine: the facade's names, as protocols. Each name is imported when it is first used."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from stepflow_tui.engine import api

if TYPE_CHECKING:
    from stepflow_tui.engine.config import Check, LoadedConfig
    from stepflow_tui.engine.model.advice import Advice, Answers
    from stepflow_tui.engine.model.draft import Draft
    from stepflow_tui.engine.model.finding import Finding
    from stepflow_tui.engine.model.plan import Plan


class RunInfo(Protocol):
    """A run's id and folder."""

    @property
    def id(self) -> str: ...
    @property
    def path(self) -> Path: ...


class EngineSign(Protocol):
    """What the lock says about a run's engine."""

    @property
    def alive(self) -> bool: ...


class RunReaderApi(Protocol):
    """A run's journal, read-only. Blocking calls of a few milliseconds."""

    def __enter__(self) -> RunReaderApi: ...
    def __exit__(self, *exc: object) -> None: ...

    def check_in_place(self) -> None:
        """StepFailed when the journal was removed or replaced while it was read."""
        ...

    def data_version(self) -> int:
        """Moves whenever the engine has written."""
        ...

    def status(self) -> dict[str, Any]:
        """The object of `status --json`."""
        ...

    def events(self, after: int, limit: int = 500) -> Sequence[Mapping[str, Any]]:
        """Rows after `seq`, in order: seq at_ms level step code data."""
        ...

    def progress(self) -> Sequence[Mapping[str, Any]]:
        """Rows: step item done total unit rate eta_s eta_state throttle."""
        ...

    def steps(self) -> Sequence[Mapping[str, Any]]:
        """Rows in order: phase name danger loses state started_ms ended_ms evidence."""
        ...

    def max_seq(self) -> int:
        """The newest event's `seq`, 0 when there is none."""
        ...

    def engine(self) -> EngineSign:
        """Whether an engine holds the run's lock."""
        ...

    def history(
        self,
        *,
        before: int | None = None,
        after: int | None = None,
        limit: int = 500,
        codes: Sequence[str] = (),
        text: str = "",
        named: Sequence[tuple[str, str, Sequence[str]]] = (),
    ) -> Sequence[Mapping[str, Any]]:
        """Rows like those of `events`, oldest first: the first ones after a `seq`, else the last ones before one, else the
        newest; only of some codes, only those that hold a text, or what is `named`: code, key of its data, values."""
        ...

    def tables(self) -> list[dict[str, Any]]:
        """Table rows in plan order."""

    def discrepancies(
        self, limit: int = -1, *, table: str | None = None, offset: int = 0
    ) -> Sequence[Mapping[str, Any]]:
        """Rows, of one table or all: tbl key col class source target cause repair_sql."""
        ...

    def rejects(self, limit: int = -1, *, table: str | None = None, offset: int = 0) -> Sequence[Mapping[str, Any]]:
        """Rows, of one table or all: tbl key col reason file."""
        ...

    def difference_counts(self, table: str | None = None) -> tuple[int, int]:
        """How many discrepancies and rejects are listed, of one table or all."""
        ...

    def run(self) -> Mapping[str, Any] | None:
        """The run's row, None while the journal is being made."""
        ...

    def plan(self) -> Plan | None:
        """The run's plan, None before it is made."""
        ...

    def findings(self) -> Sequence[Mapping[str, Any]]:
        """Rows: stage code severity object params."""
        ...

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Rows: type name tbl carried reason sql."""
        ...

    def checklist(self) -> Sequence[Mapping[str, Any]]:
        """Rows: id phase kind params state by at_ms note."""
        ...


class Started(Protocol):
    """What `start` did: `how` is started, resumed, attached or finished; `after` is the event to follow from, `ends` the
    one a finished run ended with."""

    @property
    def run(self) -> RunInfo: ...
    @property
    def how(self) -> str: ...
    @property
    def after(self) -> int: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def ends(self) -> int | None: ...


class Checked(Protocol):
    """What preflight says; `exit_code` is 0, 3 (no connection) or 4 (a blocking finding)."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def exit_code(self) -> int: ...


class Planned(Checked, Protocol):
    """A plan with what was found on the way; no plan where a blocking finding stands before it.

    `items` is the checklist such a run would have, as `RunReaderApi.checklist` gives it.
    """

    @property
    def plan(self) -> Plan | None: ...
    @property
    def items(self) -> Sequence[Mapping[str, Any]]: ...


class Facade(Protocol):
    """The names of `stepflow_tui.engine.api` that front ends use."""

    def load_config(self, path: Path, env: Mapping[str, str], checks: Iterable[Check] = ()) -> LoadedConfig:
        """A config file, checked; `checks`: a front end's own."""
        ...

    def run_keymap(self, run: RunInfo) -> Mapping[str, str]:
        """`keymap:` of the config that a run was started with, {} where there is none."""
        ...

    async def describe(self, path: Path) -> Mapping[str, Any]:
        """A SQLite file in a second: size, tables, rows (`rows_exact`), modes, versions, holders, free room."""
        ...

    async def survey(self, source: str) -> Mapping[str, Any]:
        """`{source: postgres}`, `{source: files, path, format, size}`, or what `describe` tells."""
        ...

    def advise(self, facts: Mapping[str, Any], answers: Answers) -> Advice:
        """The kind of migration that fits, why, and what else to know."""
        ...

    async def try_target(self, target: str, *, schema: str, state: Path, env: Mapping[str, str]) -> Mapping[str, Any]:
        """Connection test: kind ok version findings; of a server address user database tables encrypted latency_ms."""
        ...

    def config_text(self, draft: Draft, path: Path) -> str:
        """The commented config file that would be written to `path`."""
        ...

    def save_config(self, path: Path, text: str) -> None:
        """Write a new file; never over one that is there."""
        ...

    def find_configs(self, folder: Path) -> Sequence[Path]:
        """Config files that lie in a folder."""
        ...

    def free_path(self, path: Path) -> Path:
        """The path, or the next name beside it that is free."""
        ...

    def suggested_name(self, source: str, kind: str = ...) -> str:
        """A run's name made from its source's."""
        ...

    def holds_password(self, target: str) -> bool:
        """Whether an address holds a password itself."""
        ...

    def split_password(self, address: str) -> tuple[str, str]:
        """An address without its password, and the password as written there."""
        ...

    def with_password(self, address: str, password: str) -> str:
        """An address with a password put in; to be kept in memory."""
        ...

    def manual_items(self, kind: str = "sqlite-to-postgres") -> Sequence[tuple[str, str]]:
        """When and id of the checklist items that a person settles."""
        ...

    def list_runs(self, state: Path) -> Sequence[Mapping[str, Any]]:
        """Newest first: id name kind environment state phase result exit_code created_at engine_alive."""
        ...

    def resolve_run(self, state: Path, run: str | None) -> RunInfo:
        """Which run is meant; UsageError with the list where it is not one run."""
        ...

    def RunReader(self, run_dir: Path) -> RunReaderApi: ...  # noqa: N802 - a class of the engine
    def watching(self, run_dir: Path) -> AbstractContextManager[None]:
        """Counts one observer more while it is open."""
        ...

    async def check(self, loaded: LoadedConfig, *, state: Path, create_target: str | None = None) -> Checked:
        """Preflight only. `create_target`: an administrator's DSN, used once, never kept."""
        ...

    async def plan(self, loaded: LoadedConfig, *, state: Path) -> Planned: ...

    async def application_plan(self, loaded: LoadedConfig, *, look: bool = False) -> Mapping[str, Any]:
        """What the switch of the application would change; changes nothing: {mode, configured, settings[{file lines[{line key
        before after}]}], commands[{recipe action text}], health[…], probes[…], availability, problems[{code message detail
        hint}], found[{recipe what running version pid since}], exit_code}. `look`: the recipes look at what stands now, too."""
        ...

    async def application_trial(self, text: str, path: Path, env: Mapping[str, str]) -> Mapping[str, Any]:
        """`application_plan` with a look, of a config that is not written yet."""
        ...

    async def application_health(self, loaded: LoadedConfig) -> Sequence[Mapping[str, Any]]:
        """Every health check asked once, now: {what ok reason seconds status}."""
        ...

    async def start(
        self,
        loaded: LoadedConfig,
        *,
        state: Path,
        until: str | None,
        plan_file: Path | None,
        new: bool,
        yes: bool,
        confirm: str | None,
        interactive: bool,
    ) -> Started:
        """Which run: start it, resume it, attach to it, or find it finished."""
        ...

    async def send(
        self,
        run: RunInfo,
        verb: str,
        args: Mapping[str, Any],
        *,
        state: Path,
        take_control: bool = False,
        front: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """Append an intent, start an engine if none lives, wait for the answer: {state, answer, after}; a refusal raises."""
        ...

    def sender(self, front: str = "") -> str:
        """The name under which a front end at that terminal sends and holds control."""
        ...

    def remains(self, run_dir: Path) -> Mapping[str, Any]:
        """What a lost engine left behind: {config, log}, None where it can't be read."""
        ...

    async def verify(
        self,
        loaded: LoadedConfig,
        *,
        state: Path,
        level: str | None,
        repair: str | None,
        yes: bool,
        confirm: str | None,
    ) -> Mapping[str, Any]:
        """{verified, exit_code, level, tables[…as in report], discrepancies[…], source_changed}."""
        ...

    async def reveal(
        self,
        run: RunInfo,
        table: str,
        key: Mapping[str, Any],
        column: str,
        *,
        state: Path,
        confirm: str | None,
        front: str = "",
        env: Mapping[str, str] | None = None,
    ) -> Mapping[str, Any]:
        """The value of a sensitive column on both sides: {source, target, source_file, problem}; audited; `confirm` is the
        run's name as typed. `key` as the report shows it."""
        ...

    async def benchmark(
        self,
        loaded: LoadedConfig,
        *,
        state: Path,
        rounds: int | None = None,
        seconds: float | None = None,
        tell: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Mapping[str, Any]:
        """Both sides measured in turns: compared sides better loads verdicts tables machine settings rounds seconds took notes.
        `tell` takes the progress: item done total unit."""
        ...

    def report(self, run: RunInfo) -> Mapping[str, Any]: ...
    def report_text(self, run: RunInfo, kind: str) -> str:
        """The report as `md` or `html`."""
        ...

    def backups(self, state: Path, run: RunInfo | None) -> Sequence[Mapping[str, Any]]:
        """{set run kind path bytes sha256 verified made_at archive archive_bytes files}; kind is run or made."""
        ...

    async def verify_backup(self, path: Path) -> Mapping[str, Any]:
        """{path sha256 verified reason archive}; `path` may be an archive."""
        ...

    async def make_set(self, loaded: LoadedConfig, state: Path) -> Mapping[str, Any]:
        """Database and files backed up outside a run: a row of `backups` with archive_sha256 complete removed[…] notes[…]."""
        ...

    def about_set(self, state: Path, named: str, *, run: bool = False) -> Mapping[str, Any]:
        """{set name production target places[…] unfinished}."""
        ...

    async def restore_everything(self, state: Path, named: str) -> Mapping[str, Any]:
        """{set target places[…] sha256 files aside[…] strangers[…] verified finished}."""
        ...

    def schedule(self, loaded: LoadedConfig, state: Path, every: str) -> Mapping[str, Any]:
        """{name service timer cron variables[…] files enable}: texts to install; cron is "" where it can't say such a time."""
        ...

    def save_env_example(self, config: Path, draft: Draft) -> Path | None:
        """Write `.env.example` beside a config; None when one is there."""
        ...

    async def restore_backup(self, path: Path, to: Path) -> Mapping[str, Any]:
        """{target sha256 aside[…]}."""
        ...

    def alerts(self, run: RunInfo) -> Sequence[Mapping[str, Any]]:
        """{code severity since count cleared acknowledged params note}."""
        ...

    def audit(self, run: RunInfo) -> Sequence[Mapping[str, Any]]:
        """{n at_ms who host act data}."""
        ...

    def verify_audit(self, state: Path, run: RunInfo) -> Mapping[str, Any]:
        """{state entries head at}; state `whole` when nothing is wrong."""
        ...

    def monitor(
        self,
        loaded: LoadedConfig,
        state: Path,
        *,
        every: str | None = None,
        lasting: str | None = None,
        once: bool = False,
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """Looks and alerts until the time is over: {event: look | alert | alert_cleared, time, …}."""
        ...

    def monitor_unit(self, loaded: LoadedConfig, state: Path, every: str | None = None) -> Mapping[str, Any]:
        """{name service file variables[…] user enable}: a unit to install."""
        ...

    async def doctor(self, state: Path, loaded: LoadedConfig | None = None) -> Mapping[str, Any]:
        """{checks[{name state found fix}] looked[{name looked about}] problems[{code severity what why fix check evidence}]
        runs[…]}; a check's state is ok, note or missing."""
        ...

    def bundle_place(self, file: Path) -> None:
        """Refuse a name that a support bundle can't have, before anything is looked at."""
        ...

    async def support_bundle(
        self, state: Path, file: Path, found: Mapping[str, Any], loaded: LoadedConfig | None = None
    ) -> Mapping[str, Any]:
        """Write a support bundle to a new file: {file bytes sha256 members[…] run}."""
        ...

    async def pragmas(self, loaded: LoadedConfig | None, *, stack: str | None = None) -> Mapping[str, Any]:
        """{profile connection[{name value unit own meaning why risk}] file[…] stacks[…] findings[Finding]}, and of a stack
        {stack language snippet probe}; None: the shipped profile."""
        ...

    async def judge_pragmas(self, loaded: LoadedConfig | None, text: str) -> Mapping[str, Any]:
        """What a probe printed: {fits settings[{name wanted found state note}] sqlite_version wal_reset_bug journal_mode
        findings[Finding] exit_code}."""
        ...

    async def ask_pragmas(self, loaded: LoadedConfig) -> Mapping[str, Any]:
        """The same of what the config's `wal.probe` prints."""
        ...

    async def optimize(self, loaded: LoadedConfig, state: Path) -> Mapping[str, Any]:
        """Statistics and one checkpoint of the SQLite source: {path analyzed[…] left_out[{table reason}] limit optimized
        statistics checkpoint seconds holders[…] holders_known exit_code}; checkpoint None, or {kind done busy frames
        checkpointed complete wal_bytes_before wal_bytes_after pinned_by[{pid command}]|None}."""
        ...

    async def embedded(self, state: Path, action: str) -> Mapping[str, Any]:
        """`start`, `stop` or `dsn`: {running, folder}; `dsn` adds the address."""
        ...

    async def make_demo(self, state: Path, kind: str, rows: int, *, restart: bool = False) -> Path:
        """A folder with data and config, and a shop that trades on them until this process ends; the config's path."""
        ...

    async def end_demo(self, state: Path, config: Path) -> None:
        """End the shop, remove its database and folder."""
        ...

    async def keep_demo(self, state: Path, config: Path) -> None:
        """End the shop, keep its database, folder and server."""
        ...


def facade() -> Facade:
    """The engine."""
    return cast(Facade, api)
