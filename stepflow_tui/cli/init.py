"""`init`: writes a commented config, asking for what is missing; `init --advise` says which migration fits."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stepflow_tui.cli.options import DEFAULT_CONFIG, ConfirmOption, YesOption, commands, session_of
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.model.draft import CHOICES, IN_PLACE, MODES, VARIABLE, VARIABLES, Draft
from stepflow_tui.engine.texts.advice import BUILT
from stepflow_tui.engine.texts.language import N_, _

THIS_VERSION = BUILT[0]
"""The playbook that is meant where none is named."""

app = commands()

_MODES = "; ".join(f"{kind}: {' | '.join(modes)}" for kind, modes in MODES.items())
_LEVELS = " | ".join(CHOICES["level"])
_BAD_VALUES = " | ".join(CHOICES["on_bad_value"])

ModeOption = Annotated[
    str | None,
    typer.Option(
        "--mode", metavar="MODE", help=f"live and in-place: the application goes on; offline: it is stopped. {_MODES}."
    ),
]
WindowOption = Annotated[
    str, typer.Option("--window", metavar="TIME", help="offline: how long the application may be down.")
]
LevelOption = Annotated[str, typer.Option("--level", metavar="LEVEL", help=f"How deep to verify: {_LEVELS}.")]
BadValueOption = Annotated[
    str,
    typer.Option("--on-bad-value", metavar="HOW", help=f"Text PostgreSQL can't hold: {_BAD_VALUES}."),
]

TargetOption = Annotated[
    str | None,
    typer.Option(
        "--target",
        metavar="T",
        help="A variable (${DATABASE_URL}), an address without password, `embedded`, or `environment` (libpq's variables);"
        " sqlite-wal has none.",
    ),
]
EnvFile = Annotated[
    str, typer.Option("--env-file", metavar="FILE", help="Look source and target up in this file and the environment.")
]
EnvPrefix = Annotated[
    str | None, typer.Option("--env-prefix", metavar="PREFIX", help="The same; the variables begin with PREFIX.")
]


@app.command("init")
def init(
    ctx: typer.Context,
    kind: Annotated[str | None, typer.Argument(metavar="KIND", help="The playbook.", show_default=False)] = None,
    source: Annotated[str | None, typer.Option("--source", metavar="FILE", help="The SQLite file.")] = None,
    target: TargetOption = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The file to write.")] = DEFAULT_CONFIG,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="The run's name; else made from the file's.")
    ] = "",
    mode: ModeOption = None,
    window: WindowOption = "30m",
    environment: Annotated[
        str, typer.Option("--environment", metavar="NAME", help="`production` asks for --confirm.")
    ] = "staging",
    schema: Annotated[str, typer.Option("--schema", metavar="NAME", help="Where the tables go.")] = "public",
    level: LevelOption = "detailed",
    on_bad_value: BadValueOption = "reject",
    backup_dir: Annotated[
        str, typer.Option("--backup-dir", metavar="DIR", help="Where the backup goes; else the run's own folder.")
    ] = "",
    env_file: EnvFile = "",
    env_prefix: EnvPrefix = None,
    owner: Annotated[
        list[str] | None,
        typer.Option("--owner", metavar="ITEM=NAME", help="Who answers for a checklist item; may be repeated."),
    ] = None,
    advise: Annotated[bool, typer.Option("--advise", help="Say which playbook fits, and stop.")] = False,
    writers: Annotated[
        int | None, typer.Option("--writers", metavar="N", min=0, help="--advise: who writes at the same time.")
    ] = None,
    locked: Annotated[
        str | None, typer.Option("--locked", metavar="yes|no", help="--advise: does “database is locked” occur?")
    ] = None,
    users: Annotated[int | None, typer.Option("--users", metavar="N", min=0, help="--advise: people using it.")] = None,
    requests: Annotated[
        float | None, typer.Option("--requests", metavar="N", min=0, help="--advise: requests a second.")
    ] = None,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
) -> int:
    """Write a commented config file."""
    from stepflow_tui.cli import diagnostics, guard
    from stepflow_tui.facade import facade

    session = session_of(ctx)
    if advise:
        from stepflow_tui.cli.advise import recommend

        return recommend(session, source, writers=writers, locked=locked, users=users, requests=requests)
    guard.acting(session)
    if output.exists():
        raise _there(output)
    chosen = _kind(session, kind)
    _check_target(chosen, target)
    looked_up = bool(env_file) or env_prefix is not None
    draft = Draft(
        kind=chosen,
        source=source or ("" if looked_up else diagnostics.need(session, N_("The SQLite file"), "--source FILE")),
        target=target or (VARIABLES if looked_up or chosen in IN_PLACE else VARIABLE),
        name=name,
        mode=mode or MODES.get(chosen, CHOICES["mode"])[0],
        window=window,
        environment=environment,
        schema=schema,
        level=level,
        on_bad_value=on_bad_value,
        backup_dir=backup_dir,
        owners=dict(_owner(pair) for pair in owner or ()),
        env_file=env_file,
        env_prefix=env_prefix,
    )
    api = facade()
    api.save_config(output, api.config_text(draft, output))
    example = None if chosen in IN_PLACE and not looked_up else api.save_env_example(output, draft)
    if draft.source and not Path(os.path.expanduser(draft.source)).exists():  # noqa: PTH111 - pathlib raises for an unknown user's home
        diagnostics.say(
            _("note: {path} is not there (yet); `stepflow check` refuses it until it is").format(path=draft.source)
        )
    return _tell(session, output, chosen, example)


def _kind(session: Session, kind: str | None) -> str:
    from stepflow_tui.cli.diagnostics import interactive, need
    from stepflow_tui.cli.output import emit_text
    from stepflow_tui.render.advice import kind_lines

    if kind is None and interactive(session):
        for line in kind_lines():
            emit_text(line)
    return kind or need(session, N_("The playbook"), "KIND, such as `stepflow init sqlite-to-postgres`")


def _check_target(kind: str, target: str | None) -> None:
    from stepflow_tui.cli.diagnostics import UsageError

    if target is not None and kind in IN_PLACE:
        raise UsageError(
            f"{kind} has no target: the database stays where it is.", hint="Leave --target out.", code="no_target"
        )


def _owner(pair: str) -> tuple[str, str]:
    from stepflow_tui.cli.diagnostics import UsageError

    item, equals, person = pair.partition("=")
    if not equals or not person.strip():
        raise UsageError(f"--owner {pair!r} is not ITEM=NAME.", hint="Such as --owner teams-told=anna.", code="owner")
    return item.strip(), person.strip()


def _there(path: Path) -> Exception:
    from stepflow_tui.cli.diagnostics import UsageError
    from stepflow_tui.facade import facade

    return UsageError(
        f"{path} exists already.",
        hint=f"Name another file with -o ({facade().free_path(path).name} is free), or remove it.",
        code="config_exists",
    )


def _tell(session: Session, path: Path, kind: str, example: Path | None) -> int:
    from stepflow_tui.cli import output

    if session.globals.json:
        output.emit_object(
            {"config": str(path.absolute()), "kind": kind, "env_example": str(example.absolute()) if example else None}
        )
        return 0
    for file in (path, example):
        if file is not None:
            output.emit_text(_("wrote {path}").format(path=file))
    output.emit_text(
        _("next: {check}, then {plan}, then {run}").format(
            check=f"stepflow check {path}", plan=f"stepflow plan {path}", run=f"stepflow run {path}"
        )
    )
    return 0
