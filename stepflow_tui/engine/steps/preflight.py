"""The preflight: every check, in declared order; what it finds is journalled, what blocks refuses the run."""

from __future__ import annotations

import platform
import sqlite3
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui import __version__
from stepflow_tui.engine.checks import CheckContext, CheckStage, check_context, run_checks
from stepflow_tui.engine.errors import Held, Refused, StepFlowError, TargetConnectionError
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.schema import TableKind
from stepflow_tui.engine.plan.names import chosen, renamed
from stepflow_tui.engine.postgres.existing import is_bookkeeping
from stepflow_tui.engine.postgres.view import TargetView, Wanted, look
from stepflow_tui.engine.sqlite.examine import Examined
from stepflow_tui.engine.steps.base import PlainStep
from stepflow_tui.engine.steps.claim import hold_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import find_target, target_of
from stepflow_tui.engine.texts import render

if TYPE_CHECKING:
    from stepflow_tui.engine.model.config import Config, Types
    from stepflow_tui.engine.postgres.connect import Target

CONNECTIONS = 6
"""The lock's session, two builders, two workers, one for looking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the preflight saw, for the steps behind it."""

    examined: Examined
    findings: tuple[Finding, ...]
    holders_known: bool
    view: TargetView


def wanted_of(config: Config, own_runs: frozenset[str]) -> Wanted:
    """What a run of this config needs from the target."""
    source = Path(config.source.path)
    return Wanted(
        existing=config.target.tables is TablesMode.EXISTING,
        own_runs=own_runs,
        connections=CONNECTIONS,
        source_bytes=source.stat().st_size if source.is_file() else 0,
        owner=config.target.owner,
        grant={role: access.value for role, access in config.target.grant.items()},
        types=_named_types(config.types),
    )


def _named_types(types: Types) -> dict[str, str]:
    """The types that the config asks for, by the place that names them."""
    by_column = {
        f"types.by_column.{t}.{c}": name for t, columns in types.by_column.items() for c, name in columns.items()
    }
    return by_column | {f"types.by_type.{declared}": name for declared, name in types.by_type.items()}


async def target_view(config: Config, target: Target, own_runs: frozenset[str] = frozenset()) -> TargetView:
    """The target as the checks see it."""
    return await look(target, wanted_of(config, own_runs))


class Preflight(PlainStep):
    """Looks at source, target and machine. Changes nothing."""

    name = "preflight"

    async def apply(self, ctx: RunContext) -> Evidence:
        """Run all checks.

        Raises:
            TargetConnectionError: the target can't be reached; the findings tell about the source all the same.
        """
        view = await target_view(ctx.config, await target_of(ctx), frozenset({ctx.run_id}))
        async with check_context(
            ctx.config,
            state_dir=ctx.state_dir,
            run_dir=ctx.run_dir,
            run_id=ctx.run_id,
            stage=CheckStage.RUN,
            target=view,
            folder=ctx.loaded.path.parent,
        ) as checks:
            aim_at_tables(checks)
            findings = await run_checks(checks)
            seen = _seen(checks, view, findings)
        await ctx.journal.set_findings("preflight", findings)
        await _record(ctx, seen)
        ctx.memory.put(seen)
        raise_for(findings, view)
        await hold_target(ctx)
        return {"findings": len(findings), "target": view.target.describe(), "holders": seen.holders_known}


def _seen(checks: CheckContext, view: TargetView, findings: list[Finding]) -> Seen:
    return Seen(
        examined=checks.examined,
        findings=tuple(findings),
        holders_known=checks.holders.known and checks.holders.complete,
        view=view,
    )


async def _record(ctx: RunContext, seen: Seen) -> None:
    await ctx.journal.set_versions(
        stepflow=__version__,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        postgresql=seen.view.version or "unknown",
    )
    await ctx.journal.set_source(path=str(seen.examined.real), size=seen.examined.size)
    if seen.examined.fingerprint is not None:
        await ctx.journal.set_source(**to_plain(seen.examined.fingerprint))


def raise_for(findings: list[Finding], view: TargetView) -> None:
    """Turn what blocks into the error that names it: a connection error keeps its own exit code.

    Raises:
        TargetConnectionError, Refused: by what was found.
    """
    if isinstance(view.error, (TargetConnectionError, Held)) and (blocked := _blocking(findings)):
        raise type(view.error)(
            view.error.message, detail=view.error.detail or _lines(blocked), hint=view.error.hint, code=view.error.code
        )
    raise_for_findings(findings)


def _blocking(findings: list[Finding]) -> list[Finding]:
    return [f for f in findings if f.severity is Severity.BLOCKING]


def _lines(blocked: list[Finding]) -> str:
    return "\n".join(f"{w.what} {w.fix}".strip() for w in map(render, blocked))


def raise_for_findings(findings: list[Finding]) -> None:
    """Refuse what a finding blocks.

    Raises:
        Refused: by the first one; where there are several, the detail has them all.
    """
    blocked = _blocking(findings)
    if not blocked:
        return
    words, lines = render(blocked[0]), _lines(blocked)
    if len(blocked) == 1:
        raise Refused(words.what, detail=words.why, hint=words.fix, code=blocked[0].code)
    raise Refused(f"{len(blocked)} checks refuse the run.", detail=lines, code=blocked[0].code)


def aim_at_tables(checks: CheckContext) -> None:
    """With tables made beforehand, only those that rows will go to have to be empty: name them once the catalog is read."""
    view, config = checks.target, checks.config
    if view is None or checks.schema is None or config.target.tables is not TablesMode.EXISTING:
        return
    names = [t.name for t in checks.schema.tables if t.kind is TableKind.ORDINARY and chosen(t.name, config.tables)]
    targets = frozenset(renamed(n, config.tables.rename) or n for n in names if not is_bookkeeping(n, ()))
    checks.target = replace(view, wanted=replace(view.wanted, tables=targets))


async def standalone_view(config: Config, state_dir: Path, resources: AsyncExitStack) -> TargetView:
    """The target's view for commands that work without a run; a target that can't be found is a view with an error."""
    try:
        target = await find_target(config, state_dir, resources)
    except StepFlowError as exc:
        from stepflow_tui.engine.postgres.connect import Target

        return TargetView(target=Target(hosts=(), database="", user=""), wanted=Wanted(), error=exc)
    return await target_view(config, target)
