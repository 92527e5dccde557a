"""The text of a `.env.example`: the variables that `database_env` reads, explained, without any value that is a secret."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from stepflow_tui.engine.config_database import NAMES
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.model.draft import Draft
from stepflow_tui.engine.texts.language import N_, _

NAME = ".env.example"
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

COMMENTS: dict[str, str] = {
    "head": N_(
        "The variables that StepFlow reads. Copy this file to {file}, fill it in, and keep it out of version control."
    ),
    "section": N_("They are read where the config leaves source.path and target.dsn out, and has `database_env`."),
    "wins": N_("The environment of the process wins over the file; empty counts as not set."),
    "url": N_("Either one address, percent-encoded (@ as %40, / as %2F):"),
    "forms": N_("postgresql://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, or sqlite:///relative/path"),
    "parts": N_("or its parts; both at once must say the same:"),
    "type": N_("postgresql or sqlite"),
    "host": N_("a name, an address, or the folder of a socket"),
    "secret": N_("a secret: at least 32 characters, never in version control"),
    "path": N_("the SQLite file; relative to this file's folder"),
    "others": N_("The config refers to these too, as ${{NAME}}:"),
    "timeout": N_("how long the application waits for a lock, in milliseconds (PRAGMA busy_timeout)"),
}


def env_example(prefix: str, *, file: str, others: Sequence[str] = ()) -> str:
    """The file's text for a prefix; `others` are further variables that the config refers to."""
    said = {key: _(text).format(file=file) for key, text in COMMENTS.items()}
    lines = [f"# {said['head']}", f"# {said['section']}", f"# {said['wins']}", ""]
    lines += [
        f"# {said['path']}",
        f"{prefix}SQLITE_PATH=",
        f"# {said['timeout']}",
        f"{prefix}SQLITE_BUSY_TIMEOUT=5000",
        "",
    ]
    lines += [f"# {said['url']}", f"#   {said['forms']}", f"{prefix}DATABASE_URL=", "", f"# {said['parts']}"]
    lines += [f"# {said['type']}", f"{prefix}DATABASE_TYPE=postgresql", f"# {said['host']}", f"{prefix}DATABASE_HOST="]
    lines += [f"{prefix}DATABASE_PORT=5432", f"{prefix}DATABASE_NAME=", f"{prefix}DATABASE_USER="]
    lines += [f"# {said['secret']}", f"{prefix}DATABASE_PASSWORD="]
    lines += ["", f"# {said['others']}", *(f"{name}=" for name in others)] if others else []
    return "\n".join(lines) + "\n"


def save_env_example(config: Path, draft: Draft) -> Path | None:
    """Write `.env.example` beside a config; None when one is there already: it is never overwritten.

    Raises:
        UsageError: it can't be written.
    """
    path, prefix = config.parent / NAME, draft.env_prefix or ""
    own = {prefix + name for name in NAMES}
    others = [name for name in dict.fromkeys(_REFERENCE.findall(draft.target)) if name not in own]
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    except FileExistsError:
        return None
    except OSError as exc:
        raise UsageError(f"{path} can't be written: {exc.strerror}.", code="config_unwritable") from exc
    with os.fdopen(handle, "w", encoding="utf-8") as text:
        text.write(env_example(prefix, file=Path(draft.env_file or ".env").name, others=others))
    return path
