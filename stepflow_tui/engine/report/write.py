"""Writes report.json, report.md and report.html into the run's folder, each whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from stepflow_tui.engine.report import html, markdown
from stepflow_tui.engine.report.collect import collect


def write_report(run_dir: Path, state_dir: Path) -> dict[str, Any]:
    """Rewrite the three files from the journal and return the data of report.json.

    Raises:
        UsageError, Refused, DiskFull, StepFailed: the journal can't be read.
        OSError: the files can't be written.
    """
    report = collect(run_dir, state_dir)
    _replace(run_dir / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    _replace(run_dir / "report.md", markdown.render(report))
    _replace(run_dir / "report.html", html.render(report))
    return report


def _replace(path: Path, text: str) -> None:
    """A reader sees the old file or the new one, never half of one; only this user can read it."""
    draft = path.with_name(path.name + ".part")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)
    draft.replace(path)
