"""StepFlow: a terminal wizard and a headless command for safe database migrations."""

__version__ = "0.1.0"
