"""The way back: PostgreSQL's changes brought to SQLite from the cutover on, and writes taken back by a rollback."""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import closing
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.live.reverse import Reverse, ReverseJob
from stepflow_tui.engine.model.live import Owner
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.postgres import changelog, progress
from stepflow_tui.engine.postgres import fence as pg_fence
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite import fence as lite_fence
from stepflow_tui.engine.sqlite.connect import open_living, real_path
from stepflow_tui.engine.steps.context import Evidence, RunContext
from stepflow_tui.engine.steps.facts import connection, target_of
from stepflow_tui.engine.steps.live.canary import CANARY
from stepflow_tui.engine.steps.live.gate import run_tables
from stepflow_tui.engine.steps.live.keys import remove_keys
from stepflow_tui.engine.steps.live.prove import prove_returned

if TYPE_CHECKING:
    import asyncpg
