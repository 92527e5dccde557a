"""What a worker does with one segment: the fast way where it can go, else the slow one.

The engine imports this module to name the function, so the drivers come in with the first call, in the worker.
"""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.bulk.outcome import SegmentResult, WorkOrder
from stepflow_tui.engine.bulk.worker import halted
from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.postgres.ledger import Mode


def copy_segment(order: WorkOrder) -> SegmentResult:
    """Copy one segment; at most one transaction is committed.

    Raises:
        StepFlowError: by cause; after a lost connection the outcome is looked up in the ledger.
    """
    if halted():
        return SegmentResult(halted=True)
    from stepflow_tui.engine.bulk.fast import TakeSlowWay, copy_fast
    from stepflow_tui.engine.bulk.session import SESSION
    from stepflow_tui.engine.bulk.slow import copy_slow

    try:
        if order.segment.mode is Mode.SLOW:
            return copy_slow(SESSION, order, resent=False)
        try:
            return SegmentResult(rows=copy_fast(SESSION, order))
        except TakeSlowWay as reason:
            return replace(copy_slow(SESSION, order, resent=True), fallback=str(reason))
    except StepFlowError:
        # the next segment begins with connections in a known state; making them again takes milliseconds
        SESSION.drop_targets()
        raise
