"""After the point of no return: foreign keys are validated while the application writes, and row numbers go on."""

from __future__ import annotations

from stepflow_tui.engine.model.config import TablesMode
from stepflow_tui.engine.model.plan import Stage
from stepflow_tui.engine.postgres.lifted import put_back
from stepflow_tui.engine.steps.claim import claim_target
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.statements import RunStatements


class SettleKeys(RunStatements):
    """VALIDATE takes a weak lock: nobody waits for it. A key whose rows have no parent stays NOT VALID, and is named."""

    def __init__(self) -> None:
        super().__init__("settle-keys", Stage.VALIDATE)

    async def apply(self, ctx: RunContext) -> Evidence:
        """Validate; tables made beforehand get their own keys back."""
        if ctx.config.target.tables is not TablesMode.EXISTING:
            return await super().apply(ctx)
        await claim_target(ctx)
        async with connection(ctx) as conn:
            return {"not_valid": await put_back(conn, ctx.run_id)}

    async def undo(self, ctx: RunContext) -> Evidence:
        """Nothing: the keys go with the cutover's own undo."""
        return {}
