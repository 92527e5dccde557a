"""`init`: writes a commented config, asking for what is missing."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfirmOption, Session, YesOption, commands, session_of

if TYPE_CHECKING:
    from collections.abc import Iterator

THIS_VERSION = "sqlite-to-postgres"
KINDS = {
    "sqlite-wal": "make a SQLite database faster for several users at once, where it is; a later version",
    "sqlite-to-postgres": "move a SQLite file into PostgreSQL, every row proved equal",
    "files-to-database": "load JSON, CSV or TSV exports into a database; a later version",
    "table-to-table": "move a PostgreSQL table into a new form while it is used; a later version",
}

_TEMPLATE = """\
# Made by `stepflow init`. config.example.yaml explains every key; `stepflow check {file}` looks at both sides.
version: 1
name: {name}                      # names the run; typed as confirmation
kind: sqlite-to-postgres
mode: copy                      # one exact copy; nobody writes meanwhile
environment: staging            # production asks for --confirm
source:
  path: {source}
target:
  {target}
  schema: public
  tables: create                # or existing: made beforehand by the application's tool
  # owner: app_owner            # role that owns what is made
  # grant: {{app_role: rw}}       # roles that may use it: rw or ro
# tables: {{include: ["*"], exclude: [], rename: {{}}}}
# types:                        # lines that `stepflow plan` proposes
#   by_column: {{orders: {{total: "numeric(12,2)"}}}}
verify:
  level: detailed               # basic | standard | detailed | comprehensive
copy:
  on_bad_value: reject          # text PostgreSQL can't hold: reject | bytea | replace
"""


app = commands()


@app.command("init")
def init(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="The playbook.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="FILE", help="The SQLite file.")] = None,
    target: Annotated[
        str | None,
        typer.Option(
            "--target", metavar="T", help="A variable (${DATABASE_URL}), an address without password, or `embedded`."
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")] = DEFAULT_CONFIG,
    advise: Annotated[bool, typer.Option("--advise", help="Say which playbook is for what, and stop.")] = False,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Write a commented config file."""
    from stepflow_tui.cli import diagnostics, guard

    session = session_of(ctx)
    if advise:
        return _advise(session)
    guard.acting(session)
    if output.exists():
        raise _there(output)
    chosen = _kind(session, kind)
    source = source or diagnostics.need(session, "The SQLite file", "--source FILE")
    text = config_text(chosen, source, target or "${DATABASE_URL}", output)
    _write(output, text)
    return _tell(session, output, chosen)


def _advise(session: Session) -> int:
    from stepflow_tui.cli import output

    if session.globals.json:
        output.emit_object({"kinds": [{"kind": k, "for": v, "available": k == THIS_VERSION} for k, v in KINDS.items()]})
    else:
        for kind, use in KINDS.items():
            output.emit_text(f"{kind:20} {use}")
    return 0


def _kind(session: Session, kind: str | None) -> str:
    from stepflow_tui.cli.diagnostics import UsageError, interactive, need

    if kind is None and interactive(session):
        _advise(session)
    kind = kind or need(session, "The playbook", "KIND, such as `stepflow init sqlite-to-postgres`")
    if kind not in KINDS:
        raise UsageError(f"There is no playbook {kind!r}.", hint=f"One of {', '.join(KINDS)}.", code="unknown_kind")
    if kind != THIS_VERSION:
        raise UsageError(
            f"The playbook {kind} is not in this version.", hint=f"{THIS_VERSION} is.", code="not_in_this_version"
        )
    return kind


def config_text(kind: str, source: str, target: str, output: Path) -> str:
    """The file's text; a relative source is written relative to the config's folder.

    Raises:
        UsageError: the target holds a password.
    """
    if not Path(source).expanduser().is_absolute():
        relative = os.path.relpath(source, output.parent)
        source = relative if relative.startswith("..") else f"./{relative}"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).stem).strip("-._")[:40] or kind
    return _TEMPLATE.format(file=output.name, name=name, source=_quoted(source, escape=True), target=_target(target))


def _target(target: str) -> str:
    from stepflow_tui.cli.diagnostics import UsageError

    if target == "embedded":
        return "embedded: true              # a PostgreSQL of StepFlow's own"
    if re.search(r"://[^/@\s:]*:[^/@\s]+@", target.split("${", maxsplit=1)[0]) or re.search(
        r"(?i)password\s*=", target
    ):
        raise UsageError(
            "The target holds a password; on a command line every user of this machine can read it.",
            hint="export DATABASE_URL=…, and pass --target '${DATABASE_URL}'; or keep the password in ~/.pgpass.",
            code="password_in_argument",
        )
    return f"dsn: {_quoted(target, escape=False)}"


def _quoted(text: str, *, escape: bool) -> str:
    # JSON strings are YAML strings
    return json.dumps(text.replace("${", "$${") if escape else text, ensure_ascii=False)


def _there(path: Path) -> Exception:
    from stepflow_tui.cli.diagnostics import UsageError

    return UsageError(f"{path} exists already.", hint="Name another file with -o, or remove it.", code="config_exists")


def _write(path: Path, text: str) -> None:
    from stepflow_tui.cli.diagnostics import UsageError

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise _there(path) from None
    except OSError as exc:
        raise UsageError(
            f"{path} can't be written: {exc.strerror}.", hint="Name another file with -o.", code="config_unwritable"
        ) from exc
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


def _tell(session: Session, path: Path, kind: str) -> int:
    from stepflow_tui.cli import output

    if session.globals.json:
        output.emit_object({"config": str(path.absolute()), "kind": kind})
        return 0
    for line in _next_steps(path):
        output.emit_text(line)
    return 0


def _next_steps(path: Path) -> Iterator[str]:
    yield f"wrote {path}"
    yield f"next: stepflow check {path}, then stepflow plan {path}, then stepflow run {path}"
