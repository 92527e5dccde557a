"""What stands before commands that act: read-only sessions, and typed confirmation."""

from __future__ import annotations

from stepflow_tui.cli import diagnostics
from stepflow_tui.cli.session import Session
from stepflow_tui.engine.texts.language import _, known


def acting(session: Session) -> None:
    """Refuse to act in a read-only session.

    Raises:
        UsageError: `--read-only` was given.
    """
    if session.globals.read_only:
        raise diagnostics.UsageError(
            "This command acts, and --read-only was given.", hint="Leave --read-only out.", code="read_only"
        )


def typed_confirmation(
    session: Session, *, what: str, name: str, production: bool, yes: bool, confirm: str | None
) -> str | None:
    """Have the run's name typed, or given by flags.

    Args:
        what: what is about to happen, a sentence.
        name: what has to be typed.
        production: `--yes` alone is not enough.

    Returns:
        The name, where it was given; None where `--yes` stands for it.

    Raises:
        NeedsConfirmation: it was not confirmed.
    """
    flags = f"--yes --confirm {name}" if production else "--yes"
    if confirm is not None and confirm != name:
        raise diagnostics.NeedsConfirmation(
            f"{confirm!r} is not the name of this run.", hint=f"Pass --confirm {name}.", code="wrong_confirmation"
        )
    if confirm == name and (yes or not diagnostics.interactive(session)):
        return name
    if yes and not production:
        return None
    if yes or not diagnostics.interactive(session):
        raise diagnostics.NeedsConfirmation(what, hint=f"Pass {flags}.")
    diagnostics.say(known(what))
    if diagnostics.ask(_("Type {name} to confirm:").format(name=name)) != name:
        raise diagnostics.NeedsConfirmation("Not confirmed; nothing was done.", hint=f"Type the name, or pass {flags}.")
    return name


def plain_confirmation(session: Session, *, what: str, yes: bool) -> None:
    """Have a question answered with yes.

    Raises:
        NeedsConfirmation: it was not confirmed.
    """
    if yes:
        return
    if not diagnostics.interactive(session):
        raise diagnostics.NeedsConfirmation(what, hint="Pass --yes.")
    if not diagnostics.ask_yes(known(what)):
        raise diagnostics.NeedsConfirmation("Not confirmed; nothing was done.", hint="Answer y, or pass --yes.")
