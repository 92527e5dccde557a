"""The table of commands: where each lives and what `stepflow --help` says of it. Commands are imported when they run."""

from __future__ import annotations

from importlib import import_module
from typing import Any

COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a commented config file."),
    "check": ("check", "Look at source and target, change nothing."),
    "plan": ("plan", "Show types, DDL and what will not be carried, or what changes in place; change nothing."),
    "run": ("run", "Start the run, resume it, or attach to it."),
    "attach": ("look", "Watch a run: the wizard on a terminal, lines elsewhere."),
    "status": ("look", "Show a run's state."),
    "runs": ("look", "List the runs of this state directory, newest first."),
    "continue": ("steer", "Pass the open gate."),
    "pause": ("steer", "Stop at the next chunk; the engine stays."),
    "resume": ("steer", "Leave `paused`."),
    "tick": ("steer", "Tick a checklist item."),
    "abort": ("steer", "End the run; it can still be rolled back."),
    "rollback": ("steer", "Undo what the run did."),
    "switch": ("switch", "The read switch: show it, move reads, move them back."),
    "cutover": ("cutover", "Move writes to the new side, or rehearse it."),
    "cleanup": (
        "cleanup",
        "End a live run: close the way back, leave nothing of StepFlow behind. Of a sqlite-wal run: end its watch; the way back stays.",
    ),
    "control": ("control", "Show who steers a run; ask for control, take it, hand it over."),
    "application": ("application", "The application: what a switch changes, how it stands, whether it is healthy."),
    "verify": ("verify", "Compare source and target; exit 0 or 5."),
    "benchmark": ("benchmark", "Measure both sides on copies of the database: figures, ratios, limits."),
    "reveal": ("reveal", "Show one value that is hidden elsewhere; the audit keeps it."),
    "report": ("report", "Print a run's report: Markdown, HTML, or --json."),
    "note": ("report", "Write a note into a run's audit and report."),
    "backups": ("backups", "Look after the tested backups."),
    "alerts": ("alerts", "Look at alerts and acknowledge them."),
    "audit": ("audit", "Who did what, and whether the record is whole."),
    "monitor": (
        "monitor",
        "Watch health, latency, sizes, journal mode, logs, memory and disk; tell what breaks its limits.",
    ),
    "pragmas": ("pragmas", "Show what every connection should set, and whether the application does; change nothing."),
    "optimize": (
        "optimize",
        "Give SQLite's planner its statistics and move -wal into the file, beside a living application.",
    ),
    "doctor": (
        "doctor",
        "Show what this machine offers, and explain what is wrong with database, application and runs.",
    ),
    "embedded": ("embedded", "The embedded PostgreSQL of this state directory."),
    "keys": ("keys", "Show the wizard's keys, or what the terminal sends."),
    "demo": (
        "demo",
        "Migrate a sample shop while it is open: into an embedded PostgreSQL, or (sqlite-wal) to WAL mode.",
    ),
}
"""Command → its module in this package, and its one-line help."""

GROUPS = ("switch", "application", "backups", "alerts", "audit", "embedded")
"""Commands with subcommands."""


def load(name: str) -> Any:
    """The built command of that name, None when there is none."""
    if name not in COMMANDS:
        return None
    from typer.main import get_command

    built: Any = get_command(import_module(f"stepflow_tui.cli.{COMMANDS[name][0]}").app)
    alone = name in GROUPS or not hasattr(built, "commands")
    return built if alone else built.commands[name]
