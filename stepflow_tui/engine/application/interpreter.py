"""Asks the application's own interpreter what it is: versions of Python, of its SQLite library, and of packages.

It is run as it is, in an empty place: no bytecode is written, nothing of the working directory is imported.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.application.recipes.tools import run_tool
from stepflow_tui.engine.errors import StepFailed, StepFlowError

ASK_SECONDS = 10.0
"""How long it may take to start and answer."""

_MARK = "stepflow-interpreter:"
# Understood by every Python since 2.7, so that one that is too old can say so itself.
_SCRIPT = f"""
import sys
sys.path[:] = [p for p in sys.path if p]
import json
found = {{"python": list(sys.version_info[:3]), "packages": {{}}, "asked": False, "sqlite": None, "problem": None}}
try:
    import sqlite3
    found["sqlite"] = sqlite3.sqlite_version
except Exception as error:
    found["problem"] = "%s: %s" % (type(error).__name__, error)
try:
    from importlib import metadata
    found["asked"] = True
    for name in json.loads(sys.argv[1]):
        try:
            found["packages"][name] = str(metadata.version(name))
        except Exception:
            found["packages"][name] = None
except ImportError:
    pass
sys.stdout.write("\\n{_MARK}" + json.dumps(found) + "\\n")
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """What the interpreter answered.

    `sqlite` is None where it has no module for it (`problem` says why). `packages`: version by name, None: not installed; the
    whole is None where this Python can't tell (before 3.8).
    """

    python: tuple[int, int, int]
    sqlite: str | None
    problem: str = ""
    packages: Mapping[str, str | None] | None = field(default_factory=dict)

    @property
    def version(self) -> str:
        """`3.11.7`."""
        return ".".join(map(str, self.python))


async def ask_interpreter(python: Path, packages: Sequence[str] = (), *, seconds: float = ASK_SECONDS) -> Interpreter:
    """Run it once.

    Args:
        python: the program, such as the `bin/python` of a virtual environment (its symlink is not followed).
        packages: names of distributions whose versions are wanted.
        seconds: how long it may take.

    Raises:
        StepFailed: `interpreter_failed`, it could not be run, failed, took too long, or is no Python.
    """
    argv = (str(python), "-B", "-c", _SCRIPT, json.dumps(list(packages)))
    try:
        output = await run_tool(argv, folder=Path(os.sep), seconds=seconds, redact=_as_it_is)
    except StepFlowError as error:
        raise _failed(python, f"{error.message} {error.detail}".strip()) from error
    if not output.ok:
        raise _failed(python, f"{output.ending}: {output.said}".rstrip(": \n"))
    answer = re.search(rf"^{_MARK}(.*)$", output.text, re.MULTILINE)
    if answer is None:
        raise _failed(python, "it did not answer as Python does")
    return _read(json.loads(answer[1]))


def _read(found: Mapping[str, Any]) -> Interpreter:
    major, minor, micro = found["python"]
    return Interpreter(
        python=(int(major), int(minor), int(micro)),
        sqlite=found["sqlite"],
        problem=found["problem"] or "",
        packages=dict(found["packages"]) if found["asked"] else None,
    )


def _failed(python: Path, detail: str) -> StepFailed:
    return StepFailed(
        f"The application's interpreter {python} did not answer.",
        detail=detail,
        hint="Correct `application.python`: the Python that runs the application, such as /srv/app/venv/bin/python.",
        code="interpreter_failed",
    )


def _as_it_is(text: str) -> str:
    return text
