"""Do the application's connection pools fit the server, beside StepFlow's own connections and those in use?"""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config_application import Pool
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.postgres.view import Pooler, TargetView


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """One limit: its name, how many connections it allows, how many of them are in use."""

    name: str
    allowed: int
    used: int


def pool_connections(pool: Pool) -> int:
    """How many connections all instances may open at once."""
    return (pool.size + pool.overflow) * pool.instances


async def run(ctx: CheckContext) -> list[Finding]:
    """Every instance may open its whole pool at once, on the day with the most visitors.

    Behind a pooler that changes servers between transactions the pool's size says nothing about the server's connections.
    """
    pool, view = ctx.config.application.pool, ctx.target
    if pool is None or view is None or view.error is not None:
        return []
    if view.pooler is not Pooler.NONE:
        behind = info("pool_behind_pooler", view.target.describe(), needed=pool_connections(pool))
        return [behind] if view.pooler is Pooler.TRANSACTION else [behind, *_too_large(ctx, view, pool)]
    return _too_large(ctx, view, pool)


def _too_large(ctx: CheckContext, view: TargetView, pool: Pool) -> list[Finding]:
    needed, own = pool_connections(pool), view.wanted.connections
    short = [c for c in ceilings(view) if c.allowed - c.used < needed + own]
    if not short:
        return []
    tightest = min(short, key=lambda c: c.allowed - c.used)
    tell = blocking if ctx.config.production and view.pooler is Pooler.NONE else warning
    return [
        tell(
            "pool_too_large",
            view.target.describe(),
            size=pool.size,
            overflow=pool.overflow,
            instances=pool.instances,
            needed=needed,
            own=own,
            used=tightest.used,
            total=needed + own + tightest.used,
            allowed=tightest.allowed,
            limit=tightest.name,
            free=max(0, (tightest.allowed - tightest.used - own) // pool.instances),
        )
    ]


def ceilings(view: TargetView) -> list[Ceiling]:
    """The server's limit for ordinary roles, the role's and the database's. Our own look is closed before anybody needs it."""
    limits = view.limits
    maximum, reserved = limits.maximum, limits.reserved
    found = [
        Ceiling(
            name=f"max_connections {maximum} - {reserved} reserved",
            allowed=maximum - reserved,
            used=max(0, limits.server_used - 1),
        )
    ]
    if limits.role is not None:
        name = f"CONNECTION LIMIT of role {view.user}"
        found.append(Ceiling(name=name, allowed=limits.role, used=max(0, limits.role_used - 1)))
    if limits.database is not None:
        name = f"CONNECTION LIMIT of database {view.target.database}"
        found.append(Ceiling(name=name, allowed=limits.database, used=max(0, limits.database_used - 1)))
    return found
