"""Can `target.owner` and `target.grant` be carried out?"""

from __future__ import annotations

from stepflow_tui.engine.model.finding import Finding, blocking
from stepflow_tui.engine.plan.quote import pg_ident
from stepflow_tui.engine.postgres.view import RoleFacts, TargetView

NAME = "target_roles"


async def run(target: TargetView) -> list[Finding]:
    """Every role named in the config exists; tables can be handed over to the owner."""
    if target.error is not None:
        return []
    findings = [
        blocking("target_role_missing", role.name, sql=f"CREATE ROLE {pg_ident(role.name)};")
        for role in target.roles
        if not role.exists
    ]
    owner = next((r for r in target.roles if r.name == target.wanted.owner and r.exists), None)
    return findings + (_owner(target, owner) if owner else [])


def _owner(target: TargetView, owner: RoleFacts) -> list[Finding]:
    if target.superuser:  # hands over to anybody
        return []
    sql = []
    if not owner.reachable:
        sql.append(f"GRANT {pg_ident(owner.name)} TO {pg_ident(target.user)};")
    if not owner.may_create:
        place = f"SCHEMA {pg_ident(target.target.schema)}"
        place = place if target.schema_exists else f"DATABASE {pg_ident(target.target.database)}"
        sql.append(f"GRANT CREATE ON {place} TO {pg_ident(owner.name)};")
    return [blocking("target_owner_role", owner.name, user=target.user, sql="\n".join(sql))] if sql else []
