"""`stepflow` and `python -m stepflow_tui`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.platform == "win32":
        sys.stderr.write("StepFlow needs Linux or macOS; on Windows use WSL: https://learn.microsoft.com/windows/wsl\n")
        sys.exit(2)
    from stepflow_tui.cli.door import walk_in  # noqa: PLC0415 - other platforms get their answer without it

    code = walk_in(sys.argv[1:])
    if code is None:
        from stepflow_tui.cli.app import run_command_line  # noqa: PLC0415 - the wizard opens without it

        code = run_command_line(sys.argv[1:])
    sys.exit(code)


if __name__ == "__main__":
    main()
