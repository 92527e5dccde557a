"""What `systemctl show` tells about a unit: states, what wakes it, its variables. Reads only."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from stepflow_tui.engine.application.recipes.calls import pairs
from stepflow_tui.engine.errors import ConfigError, StepFailed

PROPERTIES = (
    "Id", "LoadState", "ActiveState", "SubState", "Result", "Type", "RemainAfterExit", "MainPID", "NRestarts", "ExecMainStatus",
    "ActiveEnterTimestampMonotonic", "InvocationID", "FragmentPath", "Transient", "NeedDaemonReload", "RefuseManualStop",
    "RefuseManualStart", "TriggeredBy", "RequiredBy", "BoundBy", "ConsistsOf", "ControlGroup", "Environment", "EnvironmentFiles",
)  # fmt: skip
CGROUPS = Path("/sys/fs/cgroup")
_NAME = re.compile(r"[A-Za-z0-9:_.\\@-]+")
_KINDS = (
    ".service",
    ".socket",
    ".timer",
    ".path",
    ".target",
    ".scope",
    ".slice",
    ".mount",
    ".swap",
    ".device",
    ".automount",
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FILE = re.compile(r"(?P<path>.*?)(?: \(ignore_errors=(?:yes|no)\))?")
_UP = frozenset({"active", "reloading", "refreshing", "activating"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit as systemd tells it. Texts are empty and numbers 0 where it tells nothing."""

    id: str = ""
    load: str = ""
    active: str = ""
    sub: str = ""
    result: str = ""
    kind: str = ""  # Type=
    pid: int = 0
    restarts: int = 0
    exit_status: int = 0
    entered: int = 0  # microseconds since boot
    invocation: str = ""
    transient: bool = False
    reload: bool = False
    refuses_stop: bool = False
    refuses_start: bool = False
    triggered_by: tuple[str, ...] = ()
    goes_with: tuple[str, ...] = ()
    cgroup: str = ""
    environment: str = field(default="", repr=False)
    environment_files: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`activating (auto-restart)`."""
        return f"{self.active or 'unknown'} ({self.sub})" if self.sub else self.active or "unknown"

    @property
    def up(self) -> bool:
        """Runs, or is about to."""
        return self.active in _UP

    @property
    def running(self) -> bool:
        """Runs, and is not waiting to be tried again."""
        return self.up and not self.failing

    @property
    def down(self) -> bool:
        """Has ended."""
        return self.active in ("inactive", "failed")

    @property
    def failing(self) -> bool:
        """Has failed, or waits to be tried again. A oneshot that has done its work is not failing."""
        if self.active == "failed" or self.sub.startswith("auto-restart"):
            return True
        return self.active == "inactive" and not (self.kind == "oneshot" and self.result in ("success", ""))

    @property
    def settled(self) -> bool:
        """Nothing more is to come."""
        return self.active in ("active", "reloading", "inactive")

    @property
    def believed_at_once(self) -> bool:
        """systemd takes it for started as soon as its process exists."""
        return self.kind in ("simple", "exec", "idle", "")

    def since(self, now: float, monotonic: float) -> float | None:
        """When it became active, in seconds since 1970."""
        return round(now - monotonic + self.entered / 1e6, 3) if self.entered and self.up else None

    def with_active(self, state: str) -> Unit:
        """The unit with a state that was asked for apart."""
        return replace(self, active=state)


def unit_name(given: str) -> str:
    """The unit's full name; a plain `shop` is `shop.service`.

    Raises:
        ConfigError: `recipe_unit_name`. Patterns would reach several units.
    """
    if not _NAME.fullmatch(given) or given.startswith("-"):
        raise ConfigError(
            f"`unit: {given}` is no name of one unit.",
            hint="Write the unit's name as `systemctl list-units` shows it, without patterns and paths.",
            code="recipe_unit_name",
        )
    return given if given.endswith(_KINDS) else f"{given}.service"


def read_unit(text: str) -> Unit:
    """Read the lines of `systemctl show`; a property may come several times."""
    values: dict[str, str] = {}
    files: list[str] = []
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and name == "EnvironmentFiles" and value:
            files.append(value)
        elif equals:
            values[name] = value
    return Unit(
        id=values.get("Id", ""), load=values.get("LoadState", ""), active=values.get("ActiveState", ""),
        sub=values.get("SubState", ""), result=values.get("Result", ""), kind=values.get("Type", ""),
        pid=_number(values.get("MainPID")), restarts=_number(values.get("NRestarts")),
        exit_status=_number(values.get("ExecMainStatus")), entered=_number(values.get("ActiveEnterTimestampMonotonic")),
        invocation=values.get("InvocationID", ""), transient=values.get("Transient") == "yes",
        reload=values.get("NeedDaemonReload") == "yes", refuses_stop=values.get("RefuseManualStop") == "yes",
        refuses_start=values.get("RefuseManualStart") == "yes", triggered_by=tuple(_words(values.get("TriggeredBy", ""))),
        goes_with=tuple(_started_again(values)), cgroup=values.get("ControlGroup", ""),
        environment=values.get("Environment", ""), environment_files=tuple(files),
    )  # fmt: skip


def refuse_unusable(unit: Unit, name: str, *, user: bool) -> None:
    """Refuse what can't be stopped, or not be started again.

    Raises:
        StepFailed: `recipe_not_found`, `recipe_masked`, `recipe_broken`, `recipe_no_way_back`.
    """
    where = "user's" if user else "system's"
    if unit.load == "not-found":
        other = "It may be a system unit: leave `user` out." if user else "If it is a user's unit, add `user: true`."
        raise StepFailed(
            f"There is no unit {name} among the {where} units.",
            hint=f"`systemctl {'--user ' if user else ''}list-unit-files` lists them. {other}",
            code="recipe_not_found",
        )
    if unit.load == "masked":
        raise StepFailed(
            f"The unit {name} is masked: it can't be started.",
            hint=f"`systemctl unmask {name}`, or name the unit that runs the application.",
            code="recipe_masked",
        )
    if unit.load in ("error", "bad-setting"):
        raise StepFailed(
            f"systemd can't read the unit {name}: {unit.load}.",
            hint=f"`systemctl status {name}` and `systemd-analyze verify {name}` name the line.",
            code="recipe_broken",
        )
    reason = _no_way_back(unit)
    if reason:
        raise StepFailed(
            f"The unit {name} {reason}: it could not be put back.",
            hint="Give the application a unit of its own with a file, or choose `kind: command`.",
            code="recipe_no_way_back",
        )


def environment_of(unit: Unit) -> dict[str, str]:
    """Its variables, as far as they can be read. For their names, and for blotting out: values are never shown."""
    found: dict[str, str] = {}
    with contextlib.suppress(OSError):
        if unit.pid:
            data = Path(f"/proc/{unit.pid}/environ").read_bytes().decode("utf-8", "replace")
            found.update(pairs([entry for entry in data.split("\0") if "=" in entry]))
    found.update(pairs([word for word in _words(unit.environment) if "=" in word]))
    for entry in unit.environment_files:
        match = _FILE.fullmatch(entry)
        pattern = match["path"].removeprefix("-").lstrip("/") if match else ""
        for path in Path("/").glob(pattern) if pattern else ():
            with contextlib.suppress(OSError):
                found.update(_file_variables(path.read_text(encoding="utf-8", errors="replace")))
    return {name: value for name, value in found.items() if _VARIABLE.fullmatch(name)}


def leftovers(cgroup: str) -> list[int]:
    """Processes that are still in a stopped unit's control group."""
    found: set[int] = set()
    for root in (CGROUPS, CGROUPS / "systemd", CGROUPS / "unified"):
        with contextlib.suppress(OSError):
            if cgroup.strip("/"):
                text = (root / cgroup.strip("/") / "cgroup.procs").read_text(encoding="ascii")
                found.update(int(line) for line in text.split())
    return sorted(found)


def _no_way_back(unit: Unit) -> str:
    if unit.transient:
        return "was made by systemd-run and is gone once it is stopped"
    if unit.refuses_stop or unit.refuses_start:
        return "refuses to be stopped or started by hand"
    return ""


def _started_again(values: dict[str, str]) -> Iterator[str]:
    """Targets are left out: starting one starts everything it wants."""
    for name in ("RequiredBy", "BoundBy", "ConsistsOf"):
        yield from (unit for unit in _words(values.get(name, "")) if not unit.endswith((".target", ".slice")))


def _words(text: str) -> list[str]:
    """systemctl quotes list items as a shell would. What can't be read tells nothing: half a value must not become a name."""
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _file_variables(text: str) -> dict[str, str]:
    """An EnvironmentFile: comments, quotes that run over lines, backslashes at line ends."""
    lines = (line for line in text.replace("\\\n", "").splitlines() if not line.lstrip().startswith(("#", ";")))
    lexer = shlex.shlex("\n".join(lines), posix=True, punctuation_chars="\n")
    lexer.whitespace, lexer.commenters, lexer.whitespace_split = " \t\r", "", True
    found: dict[str, str] = {}
    begins = True
    with contextlib.suppress(ValueError):
        for word in lexer:
            if begins and "=" in word:
                name, _equals, value = word.partition("=")
                found[name] = value
            begins = not word.strip("\n")
    return found


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
