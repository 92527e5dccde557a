"""`cleanup`: ends the observation of a live run and removes what the run made."""

from __future__ import annotations

from typing import Annotated

import typer

from stepflow_tui.cli.options import ConfirmOption, NeededRun, TakeControl, YesOption, commands

app = commands()


@app.command("cleanup")
def cleanup(
    ctx: typer.Context,
    run: NeededRun,
    yes: YesOption = False,
    confirm: ConfirmOption = None,
    rename_source: Annotated[
        bool,
        typer.Option(
            "--rename-source", help="Rename the old SQLite file too, so that nothing writes to it by mistake."
        ),
    ] = False,
    take_control: TakeControl = False,
) -> int:
    """End a live run: close the way back, leave nothing of StepFlow behind. Of a sqlite-wal run: end its watch; the way back stays.

    After the cutover. Log, triggers and fence are removed from the SQLite file, which stays; triggers and row numbers from
    PostgreSQL. Point the application to PostgreSQL for good first: nothing refuses writes to the old file afterwards.
    """
    from stepflow_tui.cli.guard import typed_confirmation
    from stepflow_tui.cli.steer import found, send_intent, status_now

    session, engine, info = found(ctx, run)
    status = status_now(engine, info)
    if status["kind"] == "sqlite-wal":
        args = {"yes": yes, "confirm": confirm}
        return send_intent(
            session, engine, info, "cleanup", args, take_control=take_control, wait_for="completed", show=True
        )
    typed = typed_confirmation(
        session,
        what=f"This closes the way back of {info.id} and removes StepFlow's own objects; nothing refuses writes to the old file then.",
        name=str(status["name"]),
        production=status["environment"] == "production",
        yes=yes,
        confirm=confirm,
    )
    return send_intent(
        session, engine, info, "cleanup", {"yes": yes, "confirm": typed, "rename": rename_source},
        take_control=take_control, wait_for="completed", show=True,
    )  # fmt: skip
