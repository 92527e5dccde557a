"""Tuning, looked at from outside a run: the profile with its reasons, snippets, probes, and whether the application fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.application.pragma_probe import ask_probe
from stepflow_tui.engine.errors import ExitCode, UsageError
from stepflow_tui.engine.facade.application import redactor_of
from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.pragmas import Pragma, in_file, profile
from stepflow_tui.engine.model.versions import has_wal_reset_bug
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.texts.pragmas import PRAGMAS
from stepflow_tui.engine.tuning.judging import Fit, findings_of, judge, parse_probe
from stepflow_tui.engine.tuning.snippets import STACKS, Stack, probe, snippet

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig


async def pragmas(loaded: LoadedConfig | None, *, stack: str | None = None) -> dict[str, Any]:
    """The settings, why each is so, and the snippets of one way to SQLite.

    Args:
        loaded: the config; None: the shipped profile alone.
        stack: a name of `STACKS`.

    Returns:
        profile connection[{name value unit own meaning why risk}] file[{…}] stacks[…] findings[Finding], and of a
        stack: stack language snippet probe.

    Raises:
        UsageError: `unknown_stack`.
    """
    wal = _wal(loaded)
    wanted, chosen = profile(wal), _stack(stack)
    found: dict[str, Any] = {
        "profile": wal.profile,
        "connection": [_row(p) for p in wanted],
        "file": [_row(p) for p in in_file(wal)],
        "stacks": [s.value for s in Stack],
        "findings": findings_of(wal, await _page_size(loaded)),
    }
    if chosen is not None:
        found |= {
            "stack": chosen.value,
            "language": STACKS[chosen].language,
            "snippet": snippet(chosen, wanted),
            "probe": probe(chosen),
        }
    return found


async def judge_pragmas(loaded: LoadedConfig | None, text: str) -> dict[str, Any]:
    """Whether a connection that a probe told of is set as it should be.

    Args:
        text: what the probe printed, other lines among it.

    Returns:
        fits settings[{name wanted found state note}] sqlite_version wal_reset_bug journal_mode findings[Finding] exit_code: 0 only if
        every setting is told and fits, else 4.

    Raises:
        UsageError: `probe_unreadable`.
    """
    return await _judged(loaded, parse_probe(text))


async def ask_pragmas(loaded: LoadedConfig) -> dict[str, Any]:
    """The same, of what the command `wal.probe` prints.

    Raises:
        UsageError: `no_probe`: the config names none; `probe_unreadable`. StepFailed: `probe_failed`.
    """
    command = loaded.config.wal.probe
    if command is None:
        raise UsageError(
            "The config names no probe.",
            hint="Write `wal.probe`, a command that runs what `stepflow pragmas --probe` prints; or pass its line with --check.",
            code="no_probe",
        )
    return await _judged(loaded, await ask_probe(command, folder=loaded.path.parent, redact=redactor_of(loaded.config)))


async def _judged(loaded: LoadedConfig | None, told: Mapping[str, Any]) -> dict[str, Any]:
    judged = judge(told, profile(_wal(loaded)), page_size=await _page_size(loaded))
    fits = all(one.state is Fit.OK for one in judged)
    version = str(told.get("sqlite_version") or "")[:40]
    return {
        "fits": fits,
        "settings": [
            {"name": j.name, "wanted": j.wanted, "found": j.found, "state": j.state.value, "note": j.note}
            for j in judged
        ],
        "sqlite_version": version or None,
        "wal_reset_bug": _bug(version),
        "journal_mode": str(told["journal_mode"])[:40] if told.get("journal_mode") is not None else None,
        "findings": [j.finding for j in judged if j.finding is not None],
        "exit_code": int(ExitCode.OK if fits else ExitCode.REFUSED),
    }


def _bug(version: str) -> bool | None:
    parts = version.split(".")
    if len(parts) < 3 or not all(p.isascii() and p.isdigit() for p in parts[:3]):
        return None
    return has_wal_reset_bug((int(parts[0]), int(parts[1]), int(parts[2])))


def _wal(loaded: LoadedConfig | None) -> Wal:
    return Wal() if loaded is None else loaded.config.wal


def _stack(name: str | None) -> Stack | None:
    if name is None:
        return None
    try:
        return Stack(name)
    except ValueError:
        raise UsageError(
            f"There is no snippet for {name!r}.", hint=f"There are: {', '.join(Stack)}.", code="unknown_stack"
        ) from None


async def _page_size(loaded: LoadedConfig | None) -> int | None:
    """Of the database as it is, or as the run will make it; None where neither is known."""
    if loaded is None or loaded.config.wal.page_size is not None:
        return None if loaded is None else loaded.config.wal.page_size
    header = (await examine(real_path(loaded.config.source.path), busy_timeout_ms=0)).header
    return None if header is None else header.page_size


def _row(pragma: Pragma) -> dict[str, Any]:
    about = PRAGMAS[pragma.why]
    return {
        "name": pragma.name,
        "value": pragma.value,
        "unit": pragma.unit.value,
        "own": pragma.own,
        "meaning": about.meaning,
        "why": about.why,
        "risk": about.risk,
    }
