"""Do several containers, pods or hosts use this one file? WAL needs memory that all of them share: that is PostgreSQL's case."""

from __future__ import annotations

import asyncio

from stepflow_tui.engine.application.compose_file import Shares, read_compose
from stepflow_tui.engine.checks.context import CheckContext
from stepflow_tui.engine.model.config_application import RecipeKind
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.sqlite.processes import Process, process_of


async def run(ctx: CheckContext) -> list[Finding]:
    """By the processes that have it open, then by what the application's Compose files would start."""
    found = await asyncio.to_thread(_spaces, ctx)
    for recipe in ctx.config.application.recipe:
        if recipe.kind is RecipeKind.COMPOSE and recipe.file is not None:
            shares = await asyncio.to_thread(read_compose, recipe.file, ctx.examined.real, recipe.service)
            found += _composed(str(recipe.file), shares)
    return found


def _spaces(ctx: CheckContext) -> list[Finding]:
    """Processes that see other processes, or another root directory, are in different containers (or chroots)."""
    spaces: dict[tuple[str, int, int], Process] = {}
    for holder in ctx.holders.processes:
        process = process_of(holder.pid)
        if process is not None:
            spaces.setdefault(process.space, process)
    if len(spaces) < 2:
        return []
    holders = ", ".join(f"pid {p.pid} ({p.command})" for p in spaces.values())
    return [blocking("wal_several_containers", ctx.source_text, count=len(spaces), holders=holders)]


def _composed(file: str, shares: Shares) -> list[Finding]:
    if shares.problem:
        return [info("wal_compose_unread", file, reason=shares.problem)]
    found = [blocking("wal_replicas", f"{file}: {name}", what=name, count=n) for name, n in shares.replicas.items()]
    if len(shares.services) > 1:
        found.append(blocking("wal_shared_volume", file, services=", ".join(shares.services)))
    return found
