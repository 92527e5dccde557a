"""The config file: YAML → `Config`, with all problems at once. The entry to `config_*`.

Plan-relevant keys (they decide what is made in the target; a changed one refuses to resume an unfinished run):
kind, mode, target.schema, target.tables, target.owner, target.grant, tables.*, types.*, copy.on_bad_value, verify.*,
capture.uncapturable, switch.strategy, hooks (commands only). Not plan-relevant: name, environment, every path and address,
figures that only change the speed, waiting times, alerts, checklists.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from stepflow_tui.engine.config_database import SECTION, fill_in
from stepflow_tui.engine.config_expand import Expander, redact
from stepflow_tui.engine.config_problems import UNKNOWN_KEY, add_schema_problems
from stepflow_tui.engine.config_yaml import Document, Problem, parse, read_bytes
from stepflow_tui.engine.errors import ConfigError
from stepflow_tui.engine.model.codec import dumps, to_plain
from stepflow_tui.engine.model.config import Config, Level, MigrationKind, Mode
from stepflow_tui.engine.model.config_dsn import dsn_identity
from stepflow_tui.engine.model.pragmas import config_problems

BUILT = frozenset({MigrationKind.SQLITE_TO_POSTGRES, MigrationKind.SQLITE_WAL})
"""The kinds of this version."""

SECTIONS = ("target", "tables", "types", "backup", "copy", "verify", "switch", "capture", "cutover", "observe", "application",
            "checklist", "hooks", "alerts", "sensitive", "keymap", "database_env", "wal", "benchmark", "monitor", "requirements")  # fmt: skip
"""Mappings that may be written empty (`types:` with every line commented out): the defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedConfig:
    """A config and where it came from.

    `text_hash` is the SHA-256 of the file's bytes, `plan_hash` covers `plan_relevant`, `used_env` holds the variables the
    file referred to, or that `database_env` read, `redacted` is the file's content without secrets (YAML), `data` its bytes.
    `kept`: not the file as it is now, but as a run keeps it (`steps.application.kept_config`).
    """

    config: Config
    path: Path
    text_hash: str
    plan_hash: str
    plan_relevant: dict[str, Any]
    redacted: str = field(repr=False)
    used_env: dict[str, str] = field(default_factory=dict, repr=False)
    data: bytes = field(default=b"", repr=False)
    kept: bool = False

    @property
    def sides(self) -> dict[str, str]:
        """What is moved where, without user and password: a run never goes on with other sides."""
        target, source = self.config.target, {"source.path": str(self.config.source.path)}
        if self.config.in_place:
            return source
        where = (
            "embedded"
            if target.embedded
            else dsn_identity(target.dsn.get_secret_value())
            if target.dsn
            else "environment"
        )
        return source | {"target": where}


Check = Callable[[Config], Iterable[tuple[tuple[str, ...], str, str]]]
"""What a front end has to say about its own settings: key path, problem, hint."""


def load_config(path: Path, env: Mapping[str, str], checks: Iterable[Check] = ()) -> LoadedConfig:
    """Read, expand and check a config file.

    Args:
        path: the file; relative paths inside it are relative to its folder.
        env: the environment for `${VAR}`.
        checks: a front end's own; what they find counts like any other problem.

    Raises:
        ConfigError: it can't be read or used; `detail` lists all problems as `file:line: key.path: problem (hint)`.
    """
    path = Path.cwd() / path
    return config_of(read_bytes(path), path, env, checks)


def config_of(data: bytes, path: Path, env: Mapping[str, str], checks: Iterable[Check] = ()) -> LoadedConfig:
    """A config that is, or is going to be, the content of `path` (absolute). Otherwise like `load_config`."""
    document = parse(data)
    expander = Expander(document, env)
    expanded = expander.expand(document.root)
    taken = fill_in(document, expanded, env, path.parent) if isinstance(expanded, dict) else {}
    config = _validate(document, expanded, path)
    if config is not None:
        for keys, text, hint in (
            found for check in (_proves_too_little, _own_pragmas, *checks) for found in check(config)
        ):
            document.add(keys, text, hint)
    if config is None or document.problems:
        raise _error(path, document)
    relevant = plan_relevant(config)
    return LoadedConfig(
        config=config,
        path=path,
        text_hash=hashlib.sha256(data).hexdigest(),
        plan_hash=hashlib.sha256(dumps(relevant).encode()).hexdigest(),
        plan_relevant=relevant,
        redacted=yaml.safe_dump(redact(document.root), sort_keys=False, allow_unicode=True),
        used_env={**expander.used, **taken},
        data=data,
    )


def _validate(document: Document, expanded: Any, path: Path) -> Config | None:
    if not isinstance(expanded, dict):
        if not document.problems:
            document.problems.append(Problem(1, "", "no settings in it", "config.example.yaml shows the form"))
        return None
    if _unsupported(document, expanded):
        return None
    filled = {k: ({} if v is None and k in SECTIONS else v) for k, v in expanded.items()}
    try:
        return Config.model_validate(filled, context={"base": path.parent})
    except ValidationError as exc:
        broken = {p.keys for p in document.problems}
        before = len(document.problems)
        add_schema_problems(document, exc)
        # a value with a missing variable is reported once, not again for its form; a source that `database_env` did not
        # find is not missing in the file
        broken |= {"source", "source.path"} if SECTION in broken else set()
        document.problems[before:] = [
            p for p in document.problems[before:] if p.keys not in broken or p.text == UNKNOWN_KEY
        ]
        return None


def _unsupported(document: Document, expanded: dict[str, Any]) -> bool:
    """Kinds of later versions: their other keys mean other things, so nothing more is checked."""
    kind = expanded.get("kind")
    later = False
    if kind in set(MigrationKind) - BUILT:
        document.add(("kind",), f"{kind} is not in this version", f"{' and '.join(sorted(BUILT))} are")
        later = True
    return later


def _proves_too_little(config: Config) -> Iterable[tuple[tuple[str, ...], str, str]]:
    """Writes move only after every value was compared: counts and key sets prove too little."""
    if (
        config.mode in (Mode.LIVE, Mode.OFFLINE)
        and not config.in_place
        and config.verify.level in (Level.BASIC, Level.STANDARD)
    ):
        yield (
            ("verify", "level"),
            f"{config.verify.level.value} proves too little to move writes",
            "detailed or comprehensive",
        )


def _own_pragmas(config: Config) -> Iterable[tuple[tuple[str, ...], str, str]]:
    return config_problems(config.wal.pragmas)


def _error(path: Path, document: Document) -> ConfigError:
    problems = sorted(document.problems, key=lambda p: p.line)
    count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
    return ConfigError(f"The config file {path} has {count}.", detail="\n".join(p.show(str(path)) for p in problems))


def _digest(command: str) -> str:
    # a command may hold a password, and these values stand in the journal
    return hashlib.sha256(command.encode()).hexdigest()


def plan_relevant(config: Config) -> dict[str, Any]:
    """The keys that decide what is made in the target, by dotted path, as plain values."""
    hooks = {
        phase.value: {side: [_digest(hook.run) for hook in getattr(both, side)] for side in ("before", "after")}
        for phase, both in config.hooks.items()
    }
    target, tables, types = config.target, config.tables, config.types
    found: dict[str, Any] = {
        "kind": config.kind,
        "mode": config.mode,
        "target.schema": target.schema_name,
        "target.tables": target.tables,
        "target.owner": target.owner,
        "target.grant": target.grant,
        "tables.include": tables.include,
        "tables.exclude": tables.exclude,
        "tables.rename": tables.rename,
        "types.by_type": types.by_type,
        "types.by_column": types.by_column,
        "types.dates": types.dates,
        "copy.on_bad_value": config.copying.on_bad_value,
        "verify.level": config.verify.level,
        "capture.uncapturable": config.capture.uncapturable,
        "switch.strategy": config.switch.strategy,
        "hooks": hooks,
    }
    # left out where nothing is written, so that runs begun before these keys came go on
    if config.verify.rules:
        found["verify.rules"] = config.verify.model_dump()["rules"]
    if config.in_place:
        found |= {"wal.page_size": config.wal.page_size, "wal.auto_vacuum": config.wal.auto_vacuum}
    if config.verify.invariants:
        found["verify.invariants"] = config.verify.model_dump()["invariants"]
    plain: dict[str, Any] = to_plain(found)
    return plain


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[str, ...]:
    """The plan-relevant keys whose values differ."""
    return tuple(sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k)))
