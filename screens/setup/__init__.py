"""The set-up: from a file's path to a saved config and a started run, page by page."""

from screens.setup.screen import SetupScreen

__all__ = ["SetupScreen"]
