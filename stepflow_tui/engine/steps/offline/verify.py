"""The verification of an offline run: what it finds blocks the switch."""

from __future__ import annotations

import time

from stepflow_tui.engine.errors import Different
from stepflow_tui.engine.model.codec import to_plain
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.fingerprint import fingerprint
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.offline.lock import unchanged
from stepflow_tui.engine.steps.verify import Verify

STEP, SEEN = "validate.verify", "source"


class VerifyLocked(Verify):
    """Both sides at the configured level. The locked file must be what the snapshot was made of."""

    async def apply(self, ctx: RunContext) -> Evidence:
        """Compare.

        Raises:
            Different: a table is not proven equal, rows were rejected, or an object differs.
        """
        began = time.monotonic()
        seen = await fingerprint(real_path(ctx.config.source.path))
        evidence = await super().apply(ctx)
        await _refuse(ctx)
        return evidence | {"seconds": round(time.monotonic() - began, 3), SEEN: to_plain(seen)}

    async def touched(self, ctx: RunContext) -> bool:
        """Held against the snapshot: the backup is older, the application wrote after it."""
        return not await unchanged(ctx)


async def _refuse(ctx: RunContext) -> None:
    rows = [r for r in await ctx.journal.table_rows() if r["verified"] is not None]
    other = [r for r in rows if r["verified"] != Verified.EQUAL.value or r["rejected_rows"]]
    objects = await ctx.journal.count("discrepancy")
    if not other and not objects:
        return
    named = "; ".join(f"{r['source']}: {r['reason'] or r['verified']}" for r in other[:10])
    raise Different(
        f"{len(other)} tables are not proven equal, so the application is not switched."
        if other
        else "Objects differ, so the application is not switched.",
        detail=named or f"{objects} differences, see the report",
        hint="The report names every row and object. The application works with SQLite as before.",
        code="offline_differences",
    )
