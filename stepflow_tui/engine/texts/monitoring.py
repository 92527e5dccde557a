"""What `monitor` says of its alerts, by code: what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Mapping

from stepflow_tui.engine.texts.language import N_

ALERTS: Mapping[str, tuple[str, str]] = {
    "unreachable": (
        N_("{what} can't be reached: {reason}"),
        N_("`stepflow doctor CONFIG` tells why, and what to do."),
    ),
    "unhealthy": (
        N_("{what} is not healthy: {reason}"),
        N_("Look into the application's log; `stepflow doctor CONFIG` shows its last lines."),
    ),
    "mode_changed": (
        N_("the database is not in WAL mode any more"),
        N_(
            "Somebody set another journal mode, or restored an older file. Run `stepflow run CONFIG` to convert it again."
        ),
    ),
    "wal_starved": (
        N_("process {pid} ({command}) has kept the write-ahead log from being emptied for {time}"),
        N_("End its read transaction: finish or close the statement, or restart that process."),
    ),
    "wal_large": (
        N_("the write-ahead log has grown to {value}, the limit is {limit}"),
        N_("Shorten read transactions. If nobody holds one, `stepflow optimize CONFIG` makes a checkpoint."),
    ),
    "slow_response": (
        N_("{what} answers after {value}, the limit is {limit}"),
        N_("Look for long transactions and missing indexes; the limit is `monitor.limits.latency`."),
    ),
    "high_memory": (
        N_("process {pid} ({command}) takes {value} of memory, the limit is {limit}"),
        N_("Look at its cache_size and at what it keeps; the limit is `monitor.limits.memory`."),
    ),
    "disk_low": (
        N_("{value} are left in {folder}, {limit} should be"),
        N_("Make room there; the limit is `requirements.disk.minimum`."),
    ),
    "log_pattern": (
        N_("{count} new lines in {file}: {newest}"),
        N_("Look into that log; the patterns are in `monitor.logs`."),
    ),
}
"""Code → what, and what to do. Places are filled by `render.monitor`."""
