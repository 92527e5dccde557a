"""`check` and `plan`: look at everything, change nothing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from stepflow_tui.engine.checks import CheckContext, check_context, run_checks
from stepflow_tui.engine.checks.checklist import ChecklistFacts, Decision, decide_all
from stepflow_tui.engine.checks.offline_window import window_findings
from stepflow_tui.engine.errors import ConfigError, ExitCode
from stepflow_tui.engine.journal.people import BY_CHECK
from stepflow_tui.engine.journal.rundir import StateDir
from stepflow_tui.engine.model.checklist import ItemSpec
from stepflow_tui.engine.model.dsn_words import in_words
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.plan import Plan
from stepflow_tui.engine.model.state import ItemState
from stepflow_tui.engine.plan.in_place import plan_in_place
from stepflow_tui.engine.playbooks import playbook_for
from stepflow_tui.engine.playbooks.spec import planned_phases
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.create_target import create_target
from stepflow_tui.engine.postgres.view import TargetView
from stepflow_tui.engine.sqlite.at_rest import undisturbed
from stepflow_tui.engine.steps.masking import source_mask
from stepflow_tui.engine.steps.planning import census_of, make_plan
from stepflow_tui.engine.steps.preflight import aim_at_tables, standalone_view

if TYPE_CHECKING:
    from stepflow_tui.engine.config import LoadedConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What preflight says; `exit_code` is 0, 3 (no connection) or 4 (a blocking finding)."""

    findings: Sequence[Finding]
    exit_code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan with what was found on the way; no plan where a blocking finding stands before it.

    `items` is the checklist such a run would have, decided as far as the findings tell: id phase kind params state by at_ms
    note.
    """

    findings: Sequence[Finding]
    exit_code: int
    plan: Plan | None
    items: Sequence[Mapping[str, Any]] = ()


async def check(loaded: LoadedConfig, *, state: Path, create_target: str | None = None) -> Checked:
    """Preflight only.

    Args:
        loaded: the config.
        state: the state directory.
        create_target: an administrator's DSN, used once to make database, role and rights; never kept.
    """
    state_dir = StateDir.open(state, os.environ)
    async with AsyncExitStack() as resources:
        if create_target is not None:
            await _create(loaded, create_target)
        view = await _view(loaded, state_dir.path, resources)

        async def look(resting: bool) -> list[Finding]:
            async with _context(loaded, state_dir, view, resting) as ctx:
                return await run_checks(ctx)

        findings = await undisturbed(loaded.config.source.path, look)
    return Checked(findings=findings, exit_code=_code(findings, view))


@asynccontextmanager
async def _context(
    loaded: LoadedConfig, state: StateDir, view: TargetView | None, resting: bool
) -> AsyncIterator[CheckContext]:
    async with check_context(
        loaded.config, state_dir=state.path, target=view, folder=loaded.path.parent, resting=resting
    ) as ctx:
        aim_at_tables(ctx)
        yield ctx


async def plan(loaded: LoadedConfig, *, state: Path) -> Planned:
    """Checks, census of the living source, plan. The target is only looked at, and may be away."""
    state_dir = StateDir.open(state, os.environ)
    async with AsyncExitStack() as resources:
        view = await _view(loaded, state_dir.path, resources)

        async def look(resting: bool) -> tuple[list[Finding], tuple[Plan, Sequence[Finding]] | None]:
            async with _context(loaded, state_dir, view, resting) as ctx:
                found = await run_checks(ctx)
                stop = _stands_before(found, view)
                return found, None if stop else await _planned(loaded, ctx, view, state_dir.path)

        findings, made = await undisturbed(loaded.config.source.path, look)
    if made is None:
        return Planned(findings=findings, exit_code=_code(findings, view), plan=None, items=_items(loaded, findings))
    result, more = made
    everything = [*findings, *(f for f in more if f not in findings)]  # the census sees some of it too
    items = _items(loaded, everything)
    return Planned(findings=everything, exit_code=_code(everything, view), plan=result, items=items)


def _items(loaded: LoadedConfig, findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The checklist before a run: in the shape of the journal's rows."""
    asked = bool(loaded.config.application.health)
    decided = decide_all(ChecklistFacts(checked=True, findings=tuple(findings), health_asked=asked))
    return [_item(spec, decided.get(spec.id)) for spec in playbook_for(loaded.config).items]


def _item(spec: ItemSpec, decision: Decision | None) -> dict[str, Any]:
    return {
        "id": spec.id,
        "phase": spec.before,
        "kind": spec.kind.value,
        "params": dict(spec.params),
        "state": (decision.state if decision else ItemState.OPEN).value,
        "by": BY_CHECK if decision else None,
        "at_ms": None,
        "note": decision.note if decision else None,
    }


def _stands_before(findings: Sequence[Finding], view: TargetView | None) -> bool:
    """A plan can be made while the target is away or full of tables; not without a source or with a wrong config."""
    about_target = ("target_", "check_failed", "database_missing", "password_refused", "backup_", "disk_")
    return any(f.severity is Severity.BLOCKING and not f.code.startswith(about_target) for f in findings)


async def _planned(
    loaded: LoadedConfig, ctx: CheckContext, view: TargetView | None, state: Path
) -> tuple[Plan, Sequence[Finding]] | None:
    if ctx.readable is None or ctx.schema is None:
        return None
    phases = planned_phases(playbook_for(loaded.config))
    if view is None:
        return plan_in_place(ctx.schema, ctx.config, phases), []
    census = await census_of(
        ctx.readable.path,
        ctx.schema,
        ctx.config,
        view,
        frozen=ctx.readable.frozen or ctx.readable.immutable,
        mask=source_mask(ctx.schema, ctx.config, state),
    )
    made = make_plan(ctx.schema, census, ctx.config, view, phases)
    return made.plan, [*census.findings, *made.findings, *window_findings(made.plan, ctx.config)]


def _code(findings: Sequence[Finding], view: TargetView | None) -> int:
    if view is not None and view.error is not None and view.error.exit_code == ExitCode.CONNECTION:
        return int(ExitCode.CONNECTION)
    return int(ExitCode.REFUSED if any(f.severity is Severity.BLOCKING for f in findings) else ExitCode.OK)


async def _view(loaded: LoadedConfig, state: Path, resources: AsyncExitStack) -> TargetView | None:
    """Where the database stays in its place there is no target: nothing is asked, not even the environment."""
    return None if loaded.config.in_place else await standalone_view(loaded.config, state, resources)


async def _create(loaded: LoadedConfig, admin_dsn: str) -> None:
    config = loaded.config
    if config.in_place:
        raise ConfigError("A conversion in place has no target that could be made.", hint="Leave --create-target out.")
    if config.target.embedded:
        raise ConfigError("The embedded target makes its database by itself.", hint="Leave --create-target out.")
    if not (urlsplit(admin_dsn).scheme.startswith("postgres") or in_words(admin_dsn)):
        raise ConfigError(
            "The administrator's DSN is no PostgreSQL address.",
            hint="postgresql://postgres@HOST/postgres, or host=HOST user=postgres dbname=postgres",
        )
    dsn = config.target.dsn.get_secret_value() if config.target.dsn is not None else None
    await create_target(
        Target.from_config(admin_dsn, os.environ),
        Target.from_config(dsn, os.environ, schema=config.target.schema_name),
    )
