"""What an application imports while StepFlow migrates its database: which side to read, who owns writes, trying again.

Standard library only, and nothing of the rest of StepFlow. docs/client.md shows how it is used.
"""

from stepflow_tui.client.aio import AsyncReadRouter, AsyncReport
from stepflow_tui.client.buckets import BUCKETS, NEW, OLD, VECTORS, Key, Side, bucket, key_bytes, side_of
from stepflow_tui.client.fence import FenceTimeout, is_fenced, retry, retry_async, with_fence_retry, write_owner
from stepflow_tui.client.lease import LEASE_SQL, Lease, LeaseFile, LeaseView
from stepflow_tui.client.reports import REPORT_SQL, dbapi_report
from stepflow_tui.client.router import ReadRouter, Report

__all__ = [
    "BUCKETS",
    "LEASE_SQL",
    "NEW",
    "OLD",
    "REPORT_SQL",
    "VECTORS",
    "AsyncReadRouter",
    "AsyncReport",
    "FenceTimeout",
    "Key",
    "Lease",
    "LeaseFile",
    "LeaseView",
    "ReadRouter",
    "Report",
    "Side",
    "bucket",
    "dbapi_report",
    "is_fenced",
    "key_bytes",
    "retry",
    "retry_async",
    "side_of",
    "with_fence_retry",
    "write_owner",
]
